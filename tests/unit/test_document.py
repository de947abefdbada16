"""Reading is strict and never fails; what is written reads back."""

import json
import re
import time
import uuid
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messages.contracts.message import Message, OrderMessage
from messages.contracts.order import CancelOrder, OrderRequested
from messages.contracts.store import PacketsAssigned, ReservePackets
from messages.transport import strict_json
from messages.transport.addresses import Address
from messages.transport.broker import MANY_DOCUMENTS, Arrival
from messages.transport.document import Reader, documents_in, encode
from messages.transport.handled import Outgoing
from messages.transport.incoming import Incoming, Malformed, Origin
from messages.transport.provenance import Provenance
from messages.transport.strict_json import DOCUMENT_BYTES, OWN_DOCUMENT_BYTES, Unreadable, may_be_extreme

ORDER_ID = "7f0c5c7e-51a9-4fb6-9a52-0a7a4c1f9c01"
MESSAGE_ID = "0e0e4a3c-97f6-4d2e-8c3d-51e4a0f4f002"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
CANONICAL_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
SOMEWHERE = Address("answers", "somewhere")


class Waved(Message):
    """A message without any field of its own."""


ORDERS = Origin("order_saga.orders")
READER = Reader([OrderRequested, CancelOrder, PacketsAssigned, Waved])


def line(sku: str = "milk", **changes: Any) -> dict[str, Any]:
    return {"sku": sku, "quantity": 2, "price_cents": 150} | changes


def fields(**changes: Any) -> dict[str, Any]:
    return {
        "type": "OrderRequested/1.0",
        "message_id": MESSAGE_ID,
        "order_id": ORDER_ID,
        "customer_id": "C-1",
        "store_id": "S-1",
        "zone": "Z-1",
        "lines": [line()],
    } | changes


def body(**changes: Any) -> bytes:
    return json.dumps(fields(**changes)).encode()


def spliced(text: bytes) -> bytes:
    """A good document with one more member, written exactly so."""
    return body()[:-1] + b"," + text + b"}"


def accepted(document: bytes) -> Incoming:
    read = READER.read(document, ORDERS)
    assert isinstance(read, Incoming), read
    return read


def refused(document: bytes) -> Malformed:
    read = READER.read(document, ORDERS)
    assert isinstance(read, Malformed), read
    return read


def test_a_client_cannot_say_what_only_our_own_services_say() -> None:
    forged = encode(Outgoing(PacketsAssigned(order_id=UUID(ORDER_ID), packet_ids=("P-1",)), SOMEWHERE))
    assert isinstance(READER.read(forged, Origin("order_saga.answers")), Incoming)
    provenance_of = Origin("order_saga.answers", from_outside=Provenance.CLIENT)
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


@pytest.mark.parametrize("capacity", [0, DOCUMENT_BYTES])
def test_what_a_client_sends_too_much_of_is_known_by_its_beginning(capacity: int) -> None:
    cut = spliced(b'"note":"%s"' % (b"x" * 2 * DOCUMENT_BYTES))[: DOCUMENT_BYTES + 1 + capacity]
    read = READER.read(cut, Origin("order_saga.orders", from_outside=Provenance.CLIENT))
    assert isinstance(read, Malformed)
    assert (read.reason, read.wire_type) == ("too_large", "OrderRequested/1.0")
    assert read.order_id == UUID(ORDER_ID)
    assert str(read.message_id) == json.loads(body())["message_id"]
    assert READER.read_all([cut, body()], [Origin("order_saga.orders", from_outside=Provenance.CLIENT)] * 2)[0] == read


def test_what_has_no_beginning_is_too_large_all_the_same() -> None:
    read = READER.read(b"1\n" * DOCUMENT_BYTES, Origin("order_saga.orders", from_outside=Provenance.CLIENT))
    assert isinstance(read, Malformed)
    assert (read.reason, read.wire_type) == ("too_large", None)


def test_a_good_document_is_read_with_its_metadata() -> None:
    document = accepted(body(traceparent=TRACE))
    assert isinstance(document.message, OrderRequested)
    assert (document.message_id, document.traceparent) == (UUID(MESSAGE_ID), TRACE)
    assert (document.body, document.queue) == (body(traceparent=TRACE), "order_saga.orders")


def test_64_kib_are_read_and_one_byte_more_is_not() -> None:
    capacity = DOCUMENT_BYTES - len(spliced(b'"note":""'))
    assert len(spliced(b'"note":"%s"' % (b"x" * capacity))) == 65_536
    accepted(spliced(b'"note":"%s"' % (b"x" * capacity)))
    assert refused(spliced(b'"note":"%s"' % (b"x" * (capacity + 1)))).reason == "too_large"


def test_what_our_own_services_say_may_name_every_packet_of_the_largest_order() -> None:
    packet_ids = tuple(f"{'P':x<58}{number:06}" for number in range(5_000))
    message = PacketsAssigned(order_id=UUID(ORDER_ID), packet_ids=packet_ids)
    document = encode(Outgoing(message, SOMEWHERE))
    assert len(document) > 5 * DOCUMENT_BYTES
    assert accepted(document).message == message
    assert refused(document + b" " * OWN_DOCUMENT_BYTES).reason == "too_large"


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b" \n", id="blank"),
        pytest.param(b"\xef\xbb\xbf" + body(), id="byte order mark"),
        pytest.param(body().decode().encode("utf-16"), id="UTF-16"),
        pytest.param(spliced(b'"note":"caf\xe9"'), id="Latin-1"),
        pytest.param(spliced(b'"note":"\xc0\x80"'), id="overlong UTF-8"),
        pytest.param(spliced(b'"note":"\xed\xa0\x80"'), id="surrogate in UTF-8"),
        pytest.param(spliced(rb'"note":"\ud800"'), id="lone high surrogate"),
        pytest.param(spliced(rb'"note":"\udc00x"'), id="lone low surrogate"),
        pytest.param(spliced(rb'"\ud800":1'), id="lone surrogate in a key"),
        pytest.param(spliced(b'"note":"\x00"'), id="raw NUL"),
        pytest.param(spliced(b'"note":"\x1f"'), id="raw control character"),
        pytest.param(body() + b"x", id="trailing garbage"),
        pytest.param(body() + body(), id="two objects"),
        pytest.param(body() + b"\x00", id="trailing NUL"),
        pytest.param(body()[:-1], id="cut short"),
        pytest.param(b"{'type': 'x'}", id="single quotes"),
        pytest.param(spliced(b'"note":NaN'), id="NaN"),
        pytest.param(spliced(b'"note":Infinity'), id="Infinity"),
        pytest.param(spliced(b'"note":-Infinity'), id="-Infinity"),
        pytest.param(spliced(b'"note":01'), id="leading zero"),
        pytest.param(spliced(b'"note":' + b"9" * 60_000), id="an integer of 60,000 digits"),
        pytest.param(b'{"a":' * 10_000, id="10,000 levels, open"),
        pytest.param(spliced(b'"note":' + b"[" * 10_000 + b"]" * 10_000), id="10,000 levels, closed"),
    ],
)
def test_what_is_no_strict_json_is_refused(document: bytes) -> None:
    assert refused(document).reason == "not_json"


@pytest.mark.parametrize(
    "text",
    [
        b'"zone":"Z-2"',
        b'"z\\u006fne":"Z-2"',
        b'"note":{"a":1,"a":1}',
        b'"note":[{"b":{"c":1,"c":2}}]',
    ],
)
def test_a_duplicate_key_is_refused_at_any_level(text: bytes) -> None:
    read = refused(spliced(text))
    assert read.reason == "not_json"
    assert "duplicate key" in read.detail


@pytest.mark.parametrize(
    "number",
    [
        b"1e999",
        b"-1e999",
        b"[1E+400]",
        b"[1,1.5e0309]",
        b"12345e307",
        b"1" + b"0" * 300 + b"e9",
        b"1" + b"0" * 309 + b".0",
        b"-1" + b"0" * 400 + b".5",
        b"1" + b"0" * 200 + b"." + b"0" * 200 + b"e180",
    ],
)
def test_a_number_too_large_to_be_finite_is_refused(number: bytes) -> None:
    assert refused(spliced(b'"note":%s' % number)).reason == "not_finite"


@pytest.mark.parametrize("number", [b"1e30", b"1e-999", b"-0.0", b"1.5E+5", b"123456789012345678901234567890"])
def test_a_finite_number_in_an_unknown_field_is_tolerated(number: bytes) -> None:
    accepted(spliced(b'"note":%s' % number))


@pytest.mark.parametrize("text", [b'"note":"a\\u0000b"', b'"a\\u0000b":1', b'"note":[{"x":["\\u0000"]}]'])
def test_an_escaped_nul_is_refused_wherever_it_stands(text: bytes) -> None:
    assert refused(spliced(text)).reason == "nul_character"


def test_a_backslash_before_u0000_is_no_nul() -> None:
    accepted(spliced(rb'"note":"\\u0000"'))


def test_a_nul_in_the_type_is_refused() -> None:
    read = refused(body(type="OrderRequested/1.0\x00"))
    assert (read.reason, read.wire_type, read.order_id) == ("no_type", "OrderRequested/1.0?", UUID(ORDER_ID))


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


def test_many_brackets_side_by_side_are_not_deep() -> None:
    accepted(spliced(b'"note":[%s]' % b",".join([b"[{}]"] * 500)))


@pytest.mark.parametrize("document", [b"[]", b"1", b"null", b'"x"', b"[%s]" % body()])
def test_what_is_not_an_object_is_refused(document: bytes) -> None:
    assert refused(document).reason == "not_an_object"


@pytest.mark.parametrize("quantity", [1, 100])
def test_quantities_from_1_to_100_are_accepted(quantity: int) -> None:
    accepted(body(lines=[line(quantity=quantity)]))


@pytest.mark.parametrize("quantity", [0, -1, 101, True, "3", 3.0, None, 10**30, [3]])
def test_any_other_quantity_is_refused(quantity: object) -> None:
    read = refused(body(lines=[line(quantity=quantity)]))
    assert read.reason == "invalid"
    assert read.detail.startswith("lines.0.quantity: ")


def test_fifty_lines_are_accepted_and_no_more() -> None:
    accepted(body(lines=[line(f"sku-{number}") for number in range(50)]))
    assert refused(body(lines=[line(f"sku-{number}") for number in range(51)])).reason == "invalid"
    assert refused(body(lines=[])).reason == "invalid"


def test_a_sku_may_not_stand_in_two_lines() -> None:
    read = refused(body(lines=[line("milk"), line("bread"), line("milk")]))
    assert read.reason == "invalid"
    assert "one line only" in read.detail


@pytest.mark.parametrize("text", ["", " milk", "mi\nlk", "milk\n", "x" * 65, "ẞ", "../etc", "\u202e"])
def test_an_identifier_that_could_harm_a_log_or_a_file_is_refused(text: str) -> None:
    assert refused(body(store_id=text)).reason == "invalid"


@pytest.mark.parametrize("deadline", ["2030-01-01T12:00:00", 1_900_000_000, "soon", ""])
def test_a_deadline_names_its_time_zone(deadline: object) -> None:
    assert refused(body(deadline=deadline)).reason == "invalid"
    accepted(body(deadline="2030-01-01T12:00:00Z"))


def test_unknown_fields_of_a_later_minor_version_are_tolerated() -> None:
    document = accepted(body(type="OrderRequested/1.17", gift=True, lines=[line(colour="red")]))
    assert isinstance(document.message, OrderRequested)


@pytest.mark.parametrize("wire_type", ["OrderRequested/2.0", "OrderRequested/0.9", "OrderRequested/01.0"])
def test_another_major_version_is_refused_as_such(wire_type: str) -> None:
    read = refused(body(type=wire_type))
    assert (read.reason, read.wire_type) == ("unknown_version", wire_type)


def test_a_type_that_is_not_handled_here_is_refused_as_such() -> None:
    assert refused(body(type="ReservePackets/1.0")).reason == "unknown_type"


@pytest.mark.parametrize(
    "wire_type",
    [
        *(None, 1, "", "OrderRequested", "OrderRequested/1", "OrderRequested/1.0.0", "orderRequested/1.0", ["x"]),
        *("OrderRequested/1.0\n", " OrderRequested/1.0", "OrderRequested/1.\u0661", "A" * 65 + "/1.0"),
    ],
)
def test_what_names_no_type_is_refused(wire_type: object) -> None:
    assert refused(body(type=wire_type)).reason == "no_type"


def test_a_document_without_a_type_is_refused() -> None:
    without = fields()
    del without["type"]
    read = refused(json.dumps(without).encode())
    assert (read.reason, read.wire_type, read.order_id) == ("no_type", None, UUID(ORDER_ID))


@pytest.mark.parametrize(
    "message_id",
    [
        *(None, 5, "", "x" * 36, MESSAGE_ID[:-1], MESSAGE_ID.replace("-", ""), "urn:uuid:" + MESSAGE_ID),
        *(f"{{{MESSAGE_ID.replace('-', '')}}}--", MESSAGE_ID.replace("0e0e", "0e_e")),
        MESSAGE_ID.replace("0e", "\u0660e"),
    ],
)
def test_a_message_id_is_a_uuid_and_nothing_that_python_takes_for_one(message_id: object) -> None:
    read = refused(body(message_id=message_id))
    assert (read.reason, read.detail) == ("invalid", "message_id: must be a UUID")


@given(
    st.from_regex(CANONICAL_UUID, fullmatch=True)
    | st.text(st.sampled_from("0aF-_{}g\u0660\u00df\n "), min_size=30, max_size=40)
    | st.permutations(MESSAGE_ID).map("".join)
)
@settings(max_examples=300)
def test_a_message_id_is_read_if_it_is_written_in_the_canonical_way(message_id: str) -> None:
    read = READER.read(body(message_id=message_id))
    assert isinstance(read, Incoming) == (CANONICAL_UUID.fullmatch(message_id) is not None)
    if isinstance(read, Incoming):
        assert str(read.message_id) == message_id.lower()


def test_a_message_id_that_is_not_there_is_told_like_any_other_field() -> None:
    for name in ("message_id", "order_id"):
        without = {key: value for key, value in fields().items() if key != name}
        assert refused(json.dumps(without).encode()).detail == f"{name}: Field required"


@pytest.mark.parametrize("order_id", [None, 5, "x", "", ORDER_ID[:-1]])
def test_an_order_id_must_be_a_uuid(order_id: object) -> None:
    read = refused(body(order_id=order_id))
    assert (read.reason, read.order_id) == ("invalid", None)


@pytest.mark.parametrize(
    "traceparent",
    [None, 7, "", TRACE.upper(), TRACE[:-1], TRACE + "0", TRACE.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32)],
)
def test_a_missing_or_wrong_traceparent_starts_a_trace(traceparent: object) -> None:
    document = accepted(body(traceparent=traceparent))
    assert document.traceparent == f"00-{UUID(MESSAGE_ID).hex}-{UUID(MESSAGE_ID).hex[:16]}-01"


def test_what_can_be_made_out_of_a_bad_document_is_told() -> None:
    read = refused(body(zone=None))
    assert (read.message_id, read.order_id) == (UUID(MESSAGE_ID), UUID(ORDER_ID))
    assert (read.wire_type, read.queue) == ("OrderRequested/1.0", "order_saga.orders")


def test_unreadable_bytes_have_the_same_id_each_time_and_others_have_another() -> None:
    assert refused(b"\xff{").message_id == refused(b"\xff{").message_id
    assert refused(b"\xff{").message_id != refused(b"\xff[").message_id


def test_what_is_told_of_a_bad_document_carries_no_control_character() -> None:
    read = refused(body(order_id=ORDER_ID[:-2] + "\x85"))
    assert "invalid character" in read.detail
    assert read.detail.isprintable()


def arrival(body: bytes, content_type: str | None, provenance: Provenance = Provenance.INTERNAL) -> Arrival:
    return Arrival(body, content_type, failures=0, tag=1, epoch=None, from_outside=provenance)


def test_an_envelope_is_a_document_a_line() -> None:
    assert documents_in(arrival(b'{"a":1}\n{"b":2}\n', MANY_DOCUMENTS)) == [b'{"a":1}', b'{"b":2}']
    assert documents_in(arrival(b'{"a":1}\r\n\n{"b":2}', MANY_DOCUMENTS)) == [b'{"a":1}\r', b'{"b":2}']


@pytest.mark.parametrize("provenance", [Provenance.CLIENT, Provenance.UNTRUSTED_ROUTE])
def test_what_a_client_sends_is_one_document_whatever_it_says_of_itself(provenance: Provenance) -> None:
    """64 KiB would be 32,768 documents, each with an answer that is larger than itself."""
    lines = b"1\n" * 32_768
    assert documents_in(arrival(lines, MANY_DOCUMENTS, provenance)) == [lines]


@pytest.mark.parametrize(
    "content_type", [None, "", "application/json", "application/json; charset=utf-8", "text/plain", "APPLICATION/JSON"]
)
def test_what_does_not_say_that_it_is_an_envelope_is_one_document(content_type: str | None) -> None:
    pretty = json.dumps(fields(), indent=2).encode()
    assert documents_in(arrival(pretty, content_type)) == [pretty]
    accepted(pretty)


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "application/json"])
def test_an_envelope_without_a_document_is_something_to_park(content_type: str) -> None:
    (document,) = documents_in(arrival(b"", content_type))
    assert refused(document).reason == "not_json"


def test_what_is_written_reads_back_with_causation_and_trace() -> None:
    cause = accepted(body(traceparent=TRACE))
    document = encode(Outgoing(CancelOrder(order_id=UUID(ORDER_ID)), SOMEWHERE, cause))
    written = json.loads(document)
    assert set(written) == {"type", "message_id", "causation_id", "traceparent", "order_id"}
    assert written["causation_id"] == MESSAGE_ID
    assert written["message_id"] != MESSAGE_ID
    read = accepted(document)
    assert read.message == CancelOrder(order_id=UUID(ORDER_ID))
    assert read.traceparent == f"00-{TRACE[3:35]}-{read.message_id.hex[:16]}-01"


def test_what_a_job_says_continues_the_trace_it_was_given_or_starts_one() -> None:
    message = CancelOrder(order_id=UUID(ORDER_ID))
    continued = accepted(encode(Outgoing(message, SOMEWHERE, traceparent=TRACE)))
    started = accepted(encode(Outgoing(message, SOMEWHERE)))
    assert continued.traceparent[3:35] == TRACE[3:35]
    assert started.traceparent[3:35] == started.message_id.hex
    assert b"causation_id" not in started.body


def test_a_message_without_fields_is_written_and_read() -> None:
    assert accepted(encode(Outgoing(Waved(), SOMEWHERE))).message == Waved()


def test_the_same_message_said_twice_has_two_ids() -> None:
    said = Outgoing(CancelOrder(order_id=UUID(ORDER_ID)), SOMEWHERE)
    assert accepted(encode(said)).message_id != accepted(encode(said)).message_id


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
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
    origins = [Origin(f"queue {number}", from_outside=chance.choice(list(Provenance))) for number in range(len(bodies))]
    assert READER.read_all(bodies, origins) == [READER.read(*each) for each in zip(bodies, origins, strict=True)]


nested: st.SearchStrategy[Any] = st.recursive(
    st.just([]), lambda inner: st.lists(inner, max_size=2) | st.fixed_dictionaries({"[": inner})
)


@given(
    (any_json | nested).map(json.dumps), st.sampled_from(["1e999", "-1E999", "1" + "0" * 310 + ".5", "[[[[[[[1]]]]]]]"])
)
@settings(max_examples=300)
def test_what_no_stranger_may_send_is_looked_at_closely(note: str, instead: str) -> None:
    document = spliced(b'"note":' + note.replace("NaN", instead).replace("Infinity", instead).encode())
    if is_extreme(document):
        assert may_be_extreme(document)


def is_extreme(document: bytes) -> bool:
    try:
        strict_json._walk(strict_json.parse(document), depth=1)
    except Unreadable as error:
        return error.reason != "not_json"
    return False


@pytest.mark.parametrize(
    "document",
    [
        *(body(), body(traceparent=TRACE), body(lines=[line(f"sku-{number}", colour="e.E}]") for number in range(50)])),
        *(json.dumps(fields(), indent=2).encode(), spliced(b'"note":[[[[[1]]]]]')),
    ],
)
def test_what_is_honest_is_spared_the_close_look(document: bytes) -> None:
    assert not may_be_extreme(document)


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


def test_a_service_is_read_only_what_it_handles() -> None:
    document = encode(
        Outgoing(
            ReservePackets.model_validate(
                {
                    "order_id": uuid.uuid4(),
                    "lease_seconds": 30,
                    "not_after": "2030-01-01T12:00:00Z",
                    "store_id": "S",
                    "wants": ({"sku": "milk", "quantity": 1},),
                },
                strict=False,
            ),
            SOMEWHERE,
        )
    )
    assert isinstance(Reader([ReservePackets]).read(document), Incoming)
    assert isinstance(Reader([OrderMessage]).read(document), Malformed)
