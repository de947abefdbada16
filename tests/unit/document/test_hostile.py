"""Whatever comes, reading does not fail, and changes nothing about what else is read."""

import json
from random import Random
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from messages.contracts.order import CancelOrder
from messages.contracts.store import PacketsAssigned
from messages.transport.document import encode
from messages.transport.handled import Outgoing
from messages.transport.incoming import Malformed, Origin
from messages.transport.provenance import Provenance
from messages.transport.strict_json import DOCUMENT_BYTES
from tests.unit.document.documents import (
    MESSAGE_ID,
    ORDER_ID,
    READER,
    SOMEWHERE,
    TRACE,
    any_json,
    body,
    fields,
    line,
    spliced,
)

almost_good = st.builds(
    lambda changes: json.dumps(fields(**changes)).encode("utf-8", "surrogatepass"),
    st.dictionaries(st.sampled_from([*fields(), "deadline", "traceparent", "note"]), any_json, max_size=4),
)


@given(st.binary(max_size=300) | any_json.map(lambda value: json.dumps(value).encode()) | almost_good)
@settings(max_examples=150)
def test_reading_never_raises(document: bytes) -> None:
    read = READER.read(document)
    assert read.body == document
    assert read.message_id == READER.read(document).message_id
    if isinstance(read, Malformed):
        assert read.reason
        assert read.detail.isprintable()


@given(st.binary(min_size=1, max_size=6), st.integers(0, 400), st.integers(0, 6))
@settings(max_examples=150)
def test_reading_a_damaged_document_never_raises(damage: bytes, position: int, cut: int) -> None:
    good = body(traceparent=TRACE, deadline="2030-01-01T12:00:00Z")
    READER.read(good[:position] + damage + good[position + cut :])


hostile = st.sampled_from(
    [
        *(b"", b" \n", b"]", b"[", b"{", b"}", b",", b"null", body()[:-1], body() + b",", body() + b"," + body()),
        *(body() + b"\n" + body(), b"[%s]" % body(), b"\xef\xbb\xbf" + body(), spliced(b'"zone":"Z-2"')),
        *(body(type="ReservePackets/1.0"), body(type="OrderRequested/1.1", gift=1), body(type="OrderRequested/2.0")),
        *(body(type=["x"]), body(message_id=MESSAGE_ID.replace("-", "")), body(order_id="x"), body(traceparent="x")),
        *(spliced(b'"note":1e999'), spliced(b'"note":1' + b"0" * 400 + b".5"), spliced(b'"note":-Infinity')),
        *(spliced(rb'"note":"\u0000"'), spliced(rb'"note":"\ud800"'), spliced(b'"note":"\xff"')),
        *(spliced(b'"note":' + b"[" * 8 + b"]" * 8), spliced(b'"note":"%s"' % (b"x" * DOCUMENT_BYTES))),
        *(body(lines=[line(), line()]), json.dumps(fields(), indent=2).encode(), b'{"note":"', b'"}'),
        encode(Outgoing(PacketsAssigned(order_id=UUID(ORDER_ID), packet_ids=("P-1",) * 20_000), SOMEWHERE)),
        *(spliced(b'"note":[{}'), b"{}]}", spliced(b'"note":"}'), b'{"}'),
    ]
)
good = st.sampled_from(
    [
        *(body(), body(traceparent=TRACE), body(lines=[line(f"sku-{number}") for number in range(50)])),
        encode(Outgoing(CancelOrder(order_id=UUID(ORDER_ID)), SOMEWHERE, traceparent=TRACE)),
        encode(Outgoing(PacketsAssigned(order_id=UUID(ORDER_ID), packet_ids=("P-1", "P-2")), SOMEWHERE)),
    ]
)


@given(st.lists(good, max_size=4), st.lists(hostile | almost_good | good, max_size=3), st.randoms())
@settings(max_examples=300)
def test_documents_that_are_read_together_are_read_as_if_each_had_come_alone(
    some: list[bytes], others: list[bytes], chance: Random
) -> None:
    bodies = [*some, *others]
    chance.shuffle(bodies)
    origins = [Origin(f"queue {number}", provenance=chance.choice(list(Provenance))) for number in range(len(bodies))]
    assert READER.read_all(bodies, origins) == [READER.read(*each) for each in zip(bodies, origins, strict=True)]
