"""Messages leave in envelopes for our own services, and one document a message for clients."""

import json
from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID, uuid4

import pytest

from messages.contracts.message import Message, OrderMessage
from messages.contracts.order import CancelOrder, OrderNotPlaced, RequestRejected
from messages.transport.addresses import ANSWERS, COMMANDS, OUTCOMES, Address
from messages.transport.broker import Envelope
from messages.transport.document import Reader
from messages.transport.handled import Outgoing
from messages.transport.incoming import Incoming
from messages.transport.outbox import ENVELOPE_BYTES, ENVELOPE_DOCUMENTS, Row, envelopes, pack

INSIDE = Address(COMMANDS, "store_worker.reserve")
ELSEWHERE = Address(ANSWERS, "order_saga.answers")
OUTSIDE = Address(OUTCOMES, "order_not_placed")


class Told(OrderMessage):
    """So many characters."""

    TO_OUTSIDE: ClassVar[bool] = True

    text: str = ""


def said(message: Message | None = None, to: Address = INSIDE) -> Outgoing:
    return Outgoing(message or CancelOrder(order_id=uuid4()), to)


def order_ids(body: bytes) -> list[UUID]:
    return [UUID(json.loads(document)["order_id"]) for document in body.split(b"\n")]


def sent(rows: Sequence[Row]) -> list[Envelope]:
    return [envelope for row in rows for envelope in envelopes(row)]


def test_documents_are_grouped_by_address_in_the_order_in_which_they_were_said() -> None:
    ids = [uuid4() for _ in range(6)]
    rows = pack([said(CancelOrder(order_id=each), ELSEWHERE if each in ids[1::2] else INSIDE) for each in ids])
    assert [(row.to, row.documents, order_ids(row.body)) for row in rows] == [
        (INSIDE, 3, ids[0::2]),
        (ELSEWHERE, 3, ids[1::2]),
    ]


def test_nothing_said_is_nothing_kept() -> None:
    assert pack([]) == []


def test_a_document_larger_than_an_envelope_may_be_has_one_of_its_own() -> None:
    large = Told(order_id=uuid4(), text="x" * (ENVELOPE_BYTES + 1))
    assert [row.documents for row in pack([said(large), said(), said(large)])] == [1, 1, 1]


@pytest.mark.parametrize(("number", "rows"), [(1, [1]), (500, [500]), (501, [500, 1]), (1_203, [500, 500, 203])])
def test_an_envelope_holds_500_documents_at_most(number: int, rows: list[int]) -> None:
    assert ENVELOPE_DOCUMENTS == 500
    assert [row.documents for row in pack([said() for _ in range(number)])] == rows


def test_an_envelope_is_one_mebibyte_at_most() -> None:
    rows = pack([said(Told(order_id=uuid4(), text="x" * 60_000)) for _ in range(40)])
    assert ENVELOPE_BYTES == 1_048_576
    assert [row.documents for row in rows] == [17, 17, 6]
    assert all(len(row.body) <= ENVELOPE_BYTES for row in rows)


def test_an_envelope_may_be_exactly_full() -> None:
    empty = len(pack([said(Told(order_id=uuid4()))])[0].body)
    half = (ENVELOPE_BYTES - 1) // 2
    texts = ["x" * (half - empty), "x" * (ENVELOPE_BYTES - 1 - half - empty)]
    (row,) = pack([said(Told(order_id=uuid4(), text=text)) for text in texts])
    assert len(row.body) == ENVELOPE_BYTES
    texts[1] += "x"
    assert [row.documents for row in pack([said(Told(order_id=uuid4(), text=text)) for text in texts])] == [1, 1]


def test_a_document_larger_than_an_envelope_travels_alone() -> None:
    sizes = [1, ENVELOPE_BYTES + 1, 1]
    rows = pack([said(Told(order_id=uuid4(), text="x" * size)) for size in sizes])
    assert [row.documents for row in rows] == [1, 1, 1]


def test_our_own_services_hear_one_envelope_which_must_reach_a_queue() -> None:
    (row,) = pack([said() for _ in range(3)])
    (envelope,) = envelopes(Row(row.to, row.body, row.documents, id=7))
    assert (envelope.to, envelope.content_type, envelope.mandatory) == (INSIDE, "application/x-ndjson", True)
    assert (envelope.wire_type, envelope.correlation_id) == (None, None)
    documents = envelope.body.split(b"\n")
    assert all(isinstance(Reader([CancelOrder]).read(document), Incoming) for document in documents)
    assert len(documents) == 3


def test_the_properties_of_a_single_document_mirror_it() -> None:
    message = CancelOrder(order_id=uuid4())
    (envelope,) = sent(pack([said(message)]))
    assert envelope.content_type == "application/json"
    assert envelope.message_id == json.loads(envelope.body)["message_id"]
    assert (envelope.wire_type, envelope.correlation_id) == ("CancelOrder/1.0", str(message.order_id))
    assert envelope.mandatory


def test_the_world_hears_one_document_a_message_and_need_not_listen() -> None:
    ids = [uuid4() for _ in range(3)]
    told = sent(pack([said(OrderNotPlaced(order_id=each, reason="no_agent"), OUTSIDE) for each in ids]))
    assert [envelope.correlation_id for envelope in told] == [str(each) for each in ids]
    assert {envelope.wire_type for envelope in told} == {"OrderNotPlaced/1.0"}
    assert {envelope.content_type for envelope in told} == {"application/json"}
    assert not any(envelope.mandatory for envelope in told)


def test_a_document_without_an_order_has_no_correlation() -> None:
    (envelope,) = sent(pack([said(RequestRejected(reason="malformed"), OUTSIDE)]))
    assert envelope.correlation_id is None


def test_no_two_envelopes_in_flight_share_an_id() -> None:
    rows = pack([said(to=to) for to in (INSIDE, ELSEWHERE, OUTSIDE) for _ in range(3)])
    kept = [Row(row.to, row.body, row.documents, id=number) for number, row in enumerate(rows)]
    ids = [envelope.message_id for envelope in sent(kept)]
    assert len(ids) == len(set(ids)) == 5


def test_a_line_break_in_a_text_does_not_cut_a_document() -> None:
    rows = pack([said(Told(order_id=uuid4(), text="one\ntwo\r\n\u2028three")) for _ in range(2)])
    assert len(rows[0].body.split(b"\n")) == 2
