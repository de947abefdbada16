"""What is written and read by hand is what a general codec would write and read."""

import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import FrameTypes, marshal
from pamqp.header import ContentHeader

from messages.transport.addresses import Address
from messages.transport.broker import FAILURES_BEFORE_ISOLATION, Envelope
from messages.transport.provenance import Death
from messages.transport.rabbitmq.frames import (
    TAG_AND_BITS_BYTES,
    acknowledged,
    body_size,
    content_type,
    death,
    deliver_to,
    failures,
    message_id,
    published,
    short_string,
    tag_and_bit,
)

MAX_BODY = 40
channels = st.integers(1, 65_535)
tags = st.integers(1, 2**63 - 1)
short = st.text(st.characters(codec="utf-8"), max_size=63)
maybe_short = st.none() | short
ordinary = short.filter(lambda text: "x-" not in text)
"""Not what the broker calls its own headers: Hypothesis also tries the texts of the code."""
maybe_ordinary = st.none() | ordinary
envelopes = st.builds(
    Envelope,
    to=st.builds(Address, st.from_regex(r"[a-z_.]{0,20}", fullmatch=True), short),
    body=st.binary(max_size=MAX_BODY * 3 + 1),
    content_type=short,
    message_id=short,
    wire_type=maybe_short,
    correlation_id=maybe_short,
    mandatory=st.booleans(),
)
headers = st.dictionaries(ordinary, st.integers(0, 2**31) | ordinary | st.booleans(), max_size=3)


def by_pamqp(envelope: Envelope, channel: int) -> bytes:
    properties = Basic.Properties(
        content_type=envelope.content_type,
        delivery_mode=2,
        message_id=envelope.message_id,
        message_type=envelope.wire_type,
        correlation_id=envelope.correlation_id,
    )
    pieces = [envelope.body[start : start + MAX_BODY] for start in range(0, len(envelope.body), MAX_BODY)]
    frames: list[FrameTypes] = [
        Basic.Publish(exchange=envelope.to.exchange, routing_key=envelope.to.key, mandatory=envelope.mandatory),
        ContentHeader(body_size=len(envelope.body), properties=properties),
        *map(ContentBody, pieces),
    ]
    return b"".join(marshal(frame, channel) for frame in frames)


def header(size: int = 0, **properties: object) -> bytes:
    return ContentHeader(body_size=size, properties=Basic.Properties(**properties)).marshal()  # type: ignore[arg-type]


@given(envelopes, channels)
def test_an_envelope_is_written_as_pamqp_writes_it(envelope: Envelope, channel: int) -> None:
    assert published(envelope, channel, MAX_BODY) == by_pamqp(envelope, channel)


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_a_broker_that_limits_no_frame_gets_a_body_in_one(size: int) -> None:
    envelope = Envelope(Address("e", "k"), b"x" * size, "", "id")
    assert published(envelope, 1, max_body=-8) == published(envelope, 1, max_body=200_000)


def test_an_id_that_is_too_long_for_amqp_is_not_written() -> None:
    with pytest.raises(ValueError, match="range"):
        published(Envelope(Address("e", "k"), b"", "", "x" * 256), 1, MAX_BODY)


@given(tags, channels)
def test_an_acknowledgement_is_written_as_pamqp_writes_it(tag: int, channel: int) -> None:
    assert acknowledged(tag, channel) == marshal(Basic.Ack(tag, multiple=True), channel)


@given(short, tags, st.booleans(), st.from_regex(r"[a-zA-Z0-9-_.:]{0,127}", fullmatch=True))
def test_tag_and_exchange_of_a_delivery_are_read(consumer: str, tag: int, redelivered: bool, name: str) -> None:
    payload = marshal(Basic.Deliver(consumer, tag, redelivered, name, "key"), 1)[7:-1]
    begins = deliver_to(consumer)
    assert payload.startswith(begins)
    assert tag_and_bit(payload, len(begins)) == (tag, redelivered)
    assert short_string(payload, len(begins) + TAG_AND_BITS_BYTES) == name


@given(maybe_ordinary, maybe_ordinary, maybe_ordinary, st.none() | headers, st.integers(0, 2**40))
def test_a_header_is_read_as_pamqp_reads_it(
    kind: str | None, encoding: str | None, own_id: str | None, table: dict[str, object] | None, size: int
) -> None:
    written = header(size, content_type=kind, content_encoding=encoding, message_id=own_id, headers=table)
    read = ContentHeader()
    read.unmarshal(written)
    assert body_size(written) == size
    assert content_type(written) == read.properties.content_type
    assert message_id(written) == read.properties.message_id
    assert failures(written) == 1
    assert death(written) is None


def test_a_message_that_was_only_given_back_has_not_failed() -> None:
    assert failures(header(headers={"x-acquired-count": 5})) == 0
    assert failures(header(headers={"x-acquired-count": 5, "x-delivery-count": 2})) == 2


@pytest.mark.parametrize(("count", "failed"), [(0, 0), (7, 7), ("many", 1)])
def test_how_often_a_message_failed_is_what_the_broker_counts(count: object, failed: int) -> None:
    table = {"x-first": "text", "x-delivery-count": count}
    assert failures(header(content_type="application/json", content_encoding="utf-8", headers=table)) == failed
    assert failures(header(headers=table, priority=3)) == failed


def died(reason: str, exchange: str, queue: str = "work") -> dict[str, object]:
    """As RabbitMQ writes it."""
    moment = datetime(2026, 1, 31, tzinfo=UTC)
    return {"count": 1, "reason": reason, "queue": queue, "time": moment, "exchange": exchange, "routing-keys": ["key"]}


@pytest.mark.parametrize(("others", "first"), [([], True), ([died("maxlen", "outcomes", "outcomes.x")], False)])
def test_of_what_was_given_up_the_last_time_is_told(others: list[object], first: bool) -> None:
    table = {"x-death": [died("expired", "requests"), *others], "x-first-death-reason": "expired"}
    written = header(content_type="application/json", headers=table)
    assert death(written) == Death("expired", "requests", first=first)


NOBODYS: list[object] = [None, 7, "delivery_limit", [], ["x"], [{}], [{"reason": "delivery_limit"}]]


@pytest.mark.parametrize(
    "table",
    [
        *({"x-death": nonsense} for nonsense in NOBODYS),
        *({"x-deaths": []}, {"note": "x-death"}, {"inner": {"x-death": [died("delivery_limit", "commands")]}}),
    ],
)
def test_what_speaks_of_a_death_without_telling_it_counts_for_nothing(table: dict[str, object]) -> None:
    assert death(header(headers=table)) == Death("", "", first=False)


def test_a_death_that_cannot_be_read_counts_for_nothing() -> None:
    assert death(header(headers={"x-death": [died("delivery_limit", "commands")]})[:-1]) == Death("", "", first=False)


def test_of_a_header_that_a_client_made_long_nothing_is_read() -> None:
    """pamqp would take half a second for it; who fails with such a one is handled alone."""
    long = header(headers={"x-death": [died("delivery_limit", "commands")], "x-delivery-count": 0, "note": "x" * 2_048})
    assert failures(long) > FAILURES_BEFORE_ISOLATION
    assert death(long) == Death("", "", first=False)


def test_what_a_client_may_have_written_breaks_nothing() -> None:
    content = struct.pack(">HHQ", 60, 0, 3)
    assert content_type(content + b"\x80\x00" + b"\x02\xff\xfe") == "\ufffd\ufffd"
    assert failures(content + b"\x20\x00" + b"\x00\x00\x00\x05\x01x?..") > FAILURES_BEFORE_ISOLATION
    name_in_no_utf_8 = b"\x00\x00\x00\x04\x01\xfft\x01"
    assert failures(content + b"\x20\x00" + name_in_no_utf_8) > FAILURES_BEFORE_ISOLATION
    nested = b"".join(struct.pack(">I", 7 * depth) + b"\x01xF" for depth in range(10_000, 0, -1))
    assert failures(content + b"\x20\x00" + nested + bytes(4)) > FAILURES_BEFORE_ISOLATION
    no_headers = b"\x10\x00" + b"\x00\x00\x00\x16\x10x-delivery-countI\x00\x00\x00\x09"
    assert failures(content + no_headers) == 1
