"""What is too large or too deep is refused, and nothing takes long to read."""

import json
import time
from uuid import UUID

import pytest

from messages.contracts.order import CancelOrder
from messages.contracts.store import PacketsAssigned
from messages.transport.document import encode
from messages.transport.handled import Outgoing
from messages.transport.incoming import Incoming, Malformed, Origin
from messages.transport.provenance import Provenance
from messages.transport.strict_json import DOCUMENT_BYTES, OWN_DOCUMENT_BYTES
from tests.unit.document.documents import ORDER_ID, READER, SOMEWHERE, accepted, body, refused, spliced


def test_64_kib_are_read_and_one_byte_more_is_not() -> None:
    capacity = DOCUMENT_BYTES - len(spliced(b'"note":""'))
    assert len(spliced(b'"note":"%s"' % (b"x" * capacity))) == 65_536
    for provenance in Provenance.INTERNAL, Provenance.CLIENT:
        full = READER.read(spliced(b'"note":"%s"' % (b"x" * capacity)), Origin("order_saga.orders", provenance))
        assert isinstance(full, Incoming)
    assert refused(spliced(b'"note":"%s"' % (b"x" * (capacity + 1)))).reason == "too_large"


def test_what_our_own_services_say_may_name_every_packet_of_the_largest_order() -> None:
    packet_ids = tuple(f"{'P':x<58}{number:06}" for number in range(5_000))
    message = PacketsAssigned(order_id=UUID(ORDER_ID), packet_ids=packet_ids)
    document = encode(Outgoing(message, SOMEWHERE))
    assert len(document) > 5 * DOCUMENT_BYTES
    assert accepted(document).message == message
    full = document.ljust(OWN_DOCUMENT_BYTES)
    assert accepted(full).message == message
    assert refused(full + b" ").reason == "too_large"


@pytest.mark.parametrize("capacity", [0, DOCUMENT_BYTES])
def test_what_a_client_sends_too_much_of_is_known_by_its_beginning(capacity: int) -> None:
    cut = spliced(b'"note":"%s"' % (b"x" * 2 * DOCUMENT_BYTES))[: DOCUMENT_BYTES + 1 + capacity]
    read = READER.read(cut, Origin("order_saga.orders", provenance=Provenance.CLIENT))
    assert isinstance(read, Malformed)
    assert (read.reason, read.wire_type) == ("too_large", "OrderRequested/1.0")
    assert read.order_id == UUID(ORDER_ID)
    assert str(read.message_id) == json.loads(body())["message_id"]
    assert READER.read_all([cut, body()], [Origin("order_saga.orders", provenance=Provenance.CLIENT)] * 2)[0] == read


def test_what_has_no_beginning_is_too_large_all_the_same() -> None:
    read = READER.read(b"1\n" * DOCUMENT_BYTES, Origin("order_saga.orders", provenance=Provenance.CLIENT))
    assert isinstance(read, Malformed)
    assert (read.reason, read.wire_type) == ("too_large", None)


@pytest.mark.parametrize(("brackets", "deep"), [(b"[%s]", True), (b'{"a":%s}', True), (b"[%s]", False)])
def test_eight_levels_are_read_and_nine_are_not(brackets: bytes, deep: bool) -> None:
    note = b"1"
    for _ in range(8 if deep else 7):
        note = brackets % note
    document = spliced(b'"note":' + note)
    if deep:
        assert refused(document).reason == "too_deep"
    else:
        accepted(document)


@pytest.mark.parametrize(("levels", "reason"), [(8, None), (9, "too_deep")])
def test_an_empty_object_is_a_level_too(levels: int, reason: str | None) -> None:
    cancel = encode(Outgoing(CancelOrder(order_id=UUID(ORDER_ID)), SOMEWHERE))
    lists = levels - 2
    read = READER.read(cancel[:-1] + b',"note":' + b"[" * lists + b"{}" + b"]" * lists + b"}")
    assert (read.reason if isinstance(read, Malformed) else None) == reason


def test_what_is_extreme_is_refused_among_others_too_whoever_sends_it() -> None:
    extreme = spliced(rb'"note":"\u0000"')
    for provenance in Provenance.INTERNAL, Provenance.CLIENT:
        read = READER.read_all([extreme, body()], [Origin("order_saga.orders", provenance)] * 2)[0]
        assert isinstance(read, Malformed)
        assert read.reason == "nul_character"


def test_many_brackets_side_by_side_are_not_deep() -> None:
    accepted(spliced(b'"note":[%s]' % b",".join([b"[{}]"] * 500)))


@pytest.mark.parametrize(
    "filling",
    [
        pytest.param(b"[" * 65_000, id="open brackets"),
        pytest.param(b'{"a":' * 13_000, id="open objects"),
        pytest.param(b'"' + rb"\u0041" * 10_000 + b'"', id="escapes"),
        pytest.param(b"[" + b",".join([b"[[[[]]]]"] * 7_000) + b"]", id="many brackets"),
        pytest.param(b"{" + b",".join(b'"%d":1' % number for number in range(6_500)) + b"}", id="many keys"),
        pytest.param(b"[" + b",".join([b"9" * 4_000] * 15) + b"]", id="long integers"),
        pytest.param(b"[" + b",".join([b"1" * 307] * 200) + b"]", id="long digits"),
        pytest.param(b"0." + b"1" * 4_000 + b"e5", id="a long fraction"),
        pytest.param(b'"' + b": 1" * 20_000 + b'"', id="what looks like numbers"),
        pytest.param(b'"' + b":" + b"1.1." * 16_000 + b'"', id="what looks like one number"),
        pytest.param(b" " * 65_000 + b"1", id="blanks"),
    ],
)
def test_no_document_takes_long_to_read(filling: bytes) -> None:
    document = (
        spliced(b'"note":' + filling)[: DOCUMENT_BYTES - 1] if len(filling) > 65_000 else spliced(b'"note":' + filling)
    )
    began = time.thread_time()
    READER.read(document)
    assert time.thread_time() - began < 0.5
