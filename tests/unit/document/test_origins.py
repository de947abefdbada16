"""A client cannot say what only our own services say, and what came by a detour says nothing."""

from uuid import UUID

from messages.contracts.store import PacketsAssigned
from messages.transport.document import encode
from messages.transport.handled import Outgoing
from messages.transport.incoming import Incoming, Malformed, Origin
from messages.transport.provenance import Provenance
from messages.transport.strict_json import DOCUMENT_BYTES
from tests.unit.document.documents import ORDER_ID, ORDERS, READER, SOMEWHERE, body


def test_a_client_cannot_say_what_only_our_own_services_say() -> None:
    forged = encode(Outgoing(PacketsAssigned(order_id=UUID(ORDER_ID), packet_ids=("P-1",)), SOMEWHERE))
    assert isinstance(READER.read(forged, Origin("order_saga.answers")), Incoming)
    provenance_of = Origin("order_saga.answers", provenance=Provenance.CLIENT)
    read = READER.read(forged, provenance_of)
    assert isinstance(read, Malformed)
    assert (read.reason, read.from_outside) == ("forbidden", True)
    assert read.detail == "PacketsAssigned/1.0 may not be published by clients"
    # Nor among others, whatever those are.
    assert [type(each) for each in READER.read_all([body(), forged, body()], [ORDERS, provenance_of, ORDERS])] == [
        *(Incoming, Malformed, Incoming)
    ]


def test_what_came_by_a_detour_is_forbidden_whatever_it_says() -> None:
    detour = Origin("order_saga.orders", Provenance.UNTRUSTED_ROUTE)
    forged = encode(Outgoing(PacketsAssigned(order_id=UUID(ORDER_ID), packet_ids=("P-1",)), SOMEWHERE))
    bodies = [body(), forged, b"\xff", b"", b"1\n" * DOCUMENT_BYTES, body().replace(b"/1.0", b"/9.0")]
    read = [READER.read(each, detour) for each in bodies]
    assert {(each.reason, each.from_outside) for each in read if isinstance(each, Malformed)} == {("forbidden", True)}
    assert not any(isinstance(each, Incoming) for each in read)
    assert READER.read_all(bodies, [detour] * len(bodies)) == read
    assert [type(each) for each in READER.read_all([body(), body()], [ORDERS, detour])] == [Incoming, Malformed]
    known = read[0]
    assert isinstance(known, Malformed)
    assert (known.wire_type, known.order_id) == ("OrderRequested/1.0", UUID(ORDER_ID))
    assert known.detail == "it came through an exchange or a queue that a client declared"
