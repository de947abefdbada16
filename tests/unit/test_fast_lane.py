"""Frames reach their channel, and the rest reaches aiormq in order, wherever the network splits them."""

import asyncio
from collections import deque
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.body import ContentBody
from pamqp.commands import Basic, Channel
from pamqp.common import FieldArray
from pamqp.frame import FrameTypes, marshal
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from messages.transport.broker import FAILURES_BEFORE_ISOLATION, Arrival
from messages.transport.provenance import Death, Provenance
from messages.transport.rabbitmq.arrivals import CONSUMER, Arrivals
from messages.transport.rabbitmq.fast_channel import FastChannel
from messages.transport.rabbitmq.fast_lane import FastLane
from messages.transport.strict_json import DOCUMENT_BYTES

MINE, OTHER = 1, 2
HEARTBEAT = marshal(Heartbeat(), 0)


class Line:
    """A lane between a network that the test plays and a reader of aiormq's."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader()
        self.lane = FastLane(self.reader)
        self.written: list[bytes] = []
        self.closing = False
        socket = SimpleNamespace(
            write=self.written.append, is_closing=lambda: self.closing, get_extra_info=lambda _: None
        )
        self.lane.connection_made(cast("asyncio.Transport", socket))
        self.arrived: deque[Arrival] = deque()
        self.told = 0
        self.underlay = SimpleNamespace(number=MINE, is_closed=False)
        self.channel = FastChannel(cast("Any", self.underlay), self.lane)
        self.harmless = 0
        self.arrivals = Arrivals(self.channel, self.arrived, self._tell, self._find_harmless)

    def _tell(self) -> None:
        self.told += 1

    def _find_harmless(self) -> None:
        self.harmless += 1

    def receive(self, data: bytes, cuts: list[int] | None = None) -> None:
        start = 0
        for cut in [*sorted(cuts or []), len(data)]:
            if cut > start:
                self.lane.data_received(data[start:cut])
                start = cut

    async def left(self) -> bytes:
        """What aiormq saw."""
        self.lane.eof_received()
        return await self.reader.read()

    @property
    def bodies(self) -> list[bytes]:
        return [arrival.body for arrival in self.arrived]


def message(method: FrameTypes, body: bytes, pieces: int, channel: int) -> list[bytes]:
    size = -(-len(body) // pieces) or 1
    bodies = [ContentBody(body[start : start + size]) for start in range(0, len(body), size)]
    content = ContentHeader(body_size=len(body), properties=Basic.Properties(content_type="application/json"))
    return [marshal(frame, channel) for frame in (method, content, *bodies)]


def delivery(body: bytes, consumer: str = CONSUMER, channel: int = MINE, tag: int = 1, pieces: int = 1) -> list[bytes]:
    return message(Basic.Deliver(consumer, tag, exchange="commands", routing_key="work"), body, pieces, channel)


bodies = st.binary(max_size=50)
pieces = st.integers(1, 4)
taken = st.tuples(st.just("ours"), st.builds(delivery, bodies, pieces=pieces))
foreign = st.one_of(
    st.builds(delivery, bodies, consumer=st.sampled_from(["", "consume", "consumer2"]), pieces=pieces),
    st.builds(delivery, bodies, channel=st.just(OTHER), pieces=pieces),
    st.sampled_from(
        [
            [HEARTBEAT],
            [marshal(Basic.ConsumeOk(CONSUMER), MINE)],
            [marshal(Basic.Cancel(CONSUMER), MINE)],
            [marshal(Basic.QosOk(), OTHER)],
        ]
    ),
)
conversations = st.lists(taken | st.tuples(st.just("theirs"), foreign), max_size=8)


@given(conversations, st.data())
async def test_wherever_the_bytes_are_cut_everything_gets_where_it_belongs(
    conversation: list[tuple[str, list[bytes]]], data: st.DataObject
) -> None:
    said = b"".join(frame for _, frames in conversation for frame in frames)
    cuts = data.draw(st.lists(st.integers(0, len(said)), max_size=12))
    line, whole = Line(), Line()
    line.receive(said, cuts)
    for each in said:
        whole.receive(bytes((each,)))
    expected = [b"".join(frame[7:-1] for frame in frames[2:]) for whose, frames in conversation if whose == "ours"]
    assert line.bodies == whole.bodies == expected
    rest = b"".join(frame for whose, frames in conversation if whose == "theirs" for frame in frames)
    assert (await line.left()).replace(HEARTBEAT, b"") == rest.replace(HEARTBEAT, b"")
    assert (await whole.left()).replace(HEARTBEAT, b"") == rest.replace(HEARTBEAT, b"")


async def test_what_comes_on_other_channels_between_the_frames_of_a_message_does_not_part_them() -> None:
    line = Line()
    mine, other = delivery(b"abcdef", pieces=3), delivery(b"ghijkl", channel=OTHER, pieces=3)
    line.receive(b"".join(frame for pair in zip(mine, other, strict=True) for frame in pair))
    assert line.bodies == [b"abcdef"]
    assert await line.left() == b"".join(other)


async def test_a_message_arrives_though_the_consent_to_consume_comes_after_it() -> None:
    line = Line()
    consent = marshal(Basic.ConsumeOk(CONSUMER), MINE)
    line.receive(b"".join(delivery(b"early")) + consent + b"".join(delivery(b"late", tag=2)))
    assert [(arrival.body, arrival.tag) for arrival in line.arrived] == [(b"early", 1), (b"late", 2)]
    assert await line.left() == consent


async def test_that_something_harmless_has_come_is_told_once() -> None:
    line = Line()
    for _ in range(3):
        line.receive(b"".join(delivery(b"harmless")))
    assert line.harmless == 1


async def test_what_arrives_in_one_read_is_told_once() -> None:
    line = Line()
    line.receive(b"".join(delivery(b"a") + delivery(b"b") + delivery(b"")))
    assert (line.bodies, line.told) == ([b"a", b"b", b""], 1)
    line.receive(HEARTBEAT)
    assert line.told == 1


@pytest.mark.parametrize(("redelivered", "failed"), [(True, 4), (False, 0)])
async def test_only_what_is_redelivered_has_failed_whatever_its_headers_say(redelivered: bool, failed: int) -> None:
    line = Line()
    deliver = Basic.Deliver(CONSUMER, 9, redelivered, "commands", "work")
    headers = ContentHeader(properties=Basic.Properties(headers={"x-delivery-count": 4}))
    line.receive(marshal(deliver, MINE) + marshal(headers, MINE))
    (arrival,) = line.arrived
    assert (arrival.failures, arrival.tag, arrival.content_type) == (failed, 9, None)
    assert line.harmless == (failed <= FAILURES_BEFORE_ISOLATION)
    assert arrival.epoch is line.arrivals


async def test_each_arrival_is_told_by_the_exchange_that_it_came_through() -> None:
    line = Line()
    for exchange in ("commands", "outcomes.evil", "answers", "requests", "dead_letters", ""):
        deliver = Basic.Deliver(CONSUMER, 1, exchange=exchange, routing_key="work")
        line.receive(b"".join(message(deliver, b"x", 1, MINE)))
    detour = Provenance.UNTRUSTED_ROUTE
    assert [arrival.from_outside for arrival in line.arrived] == [
        *(Provenance.INTERNAL, detour, Provenance.INTERNAL, Provenance.CLIENT, detour, detour)
    ]


async def test_of_a_clients_dead_letter_no_more_is_kept_either_than_tells_that_it_is_too_large() -> None:
    line = Line()
    for exchange in ("requests", "commands"):
        deaths: FieldArray = [{"reason": "delivery_limit", "exchange": exchange}]
        content = ContentHeader(body_size=2 * DOCUMENT_BYTES, properties=Basic.Properties(headers={"x-death": deaths}))
        deliver = Basic.Deliver(CONSUMER, 1, exchange="dead_letters", routing_key="dead")
        for frame in (deliver, content, ContentBody(b"x" * 2 * DOCUMENT_BYTES)):
            line.receive(marshal(frame, MINE))
    assert [(arrival.from_outside, len(arrival.body)) for arrival in line.arrived] == [
        *((Provenance.CLIENT, DOCUMENT_BYTES + 1), (Provenance.INTERNAL, 2 * DOCUMENT_BYTES))
    ]
    assert [arrival.death for arrival in line.arrived] == [
        *(Death("delivery_limit", "requests"), Death("delivery_limit", "commands"))
    ]


async def test_an_outcome_is_kept_whole_however_large_it_is() -> None:
    line = Line()
    body = b"x" * 2 * DOCUMENT_BYTES
    for frame in message(Basic.Deliver(CONSUMER, 1, exchange="outcomes", routing_key="order_placed"), body, 1, MINE):
        line.receive(frame)
    assert line.bodies == [body]


async def test_what_arrives_after_the_stop_goes_nowhere() -> None:
    line = Line()
    deliver, header, body = delivery(b"cut off")
    line.receive(deliver + header)
    line.arrivals.stop()
    line.receive(body + b"".join(delivery(b"too late")))
    assert (line.bodies, line.told) == ([], 0)
    assert await line.left() == b""


async def test_aiormq_hears_a_heartbeat_a_second_while_it_sees_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line()
    clock = line.lane._aiormq_received_at
    monkeypatch.setattr(line.lane, "_now", lambda: clock)
    for _ in range(20):
        line.receive(b"".join(delivery(b"x")))
        clock += 0.25
    assert await line.left() == HEARTBEAT * 4


@pytest.mark.parametrize("nonsense", [b"AMQP\0\0\x09\x01", b"\x01\0\0\0\0\0\x01x?", b"HTTP/1.1 400 Bad Request\r\n"])
async def test_what_is_not_made_of_frames_is_left_to_aiormq_at_once(nonsense: bytes) -> None:
    line = Line()
    line.receive(b"".join(delivery(b"x")) + HEARTBEAT + nonsense)
    assert line.reader._buffer == HEARTBEAT + nonsense  # type: ignore[attr-defined]
    more = b"".join(delivery(b"y"))
    line.receive(more)
    assert line.bodies == [b"x"]
    assert await line.left() == HEARTBEAT + nonsense + more


async def test_a_frame_that_the_end_cuts_short_is_seen_by_aiormq() -> None:
    line = Line()
    line.receive(HEARTBEAT[:5])
    assert await line.left() == HEARTBEAT[:5]


async def test_nothing_is_sent_on_a_channel_that_the_broker_closes() -> None:
    """It would cost the connection."""
    line = Line()
    line.arrivals.acknowledge(1)
    assert line.written == [marshal(Basic.Ack(1, multiple=True), MINE)]
    close = marshal(Channel.Close(404, "NOT_FOUND", 60, 40), MINE)
    line.receive(close)
    line.arrivals.acknowledge(2)
    assert len(line.written) == 1
    assert not line.channel.open
    assert await line.left() == close


async def test_what_is_acknowledged_already_is_not_acknowledged_again() -> None:
    """It would cost the channel."""
    line = Line()
    for tag in (2, 1, 2, 3):
        line.arrivals.acknowledge(tag)
    assert line.written == [marshal(Basic.Ack(tag, multiple=True), MINE) for tag in (2, 3)]


@pytest.mark.parametrize("end", [Channel.CloseOk(), Channel.Close(404, "NOT_FOUND", 60, 40)])
async def test_a_channel_that_is_over_leaves_the_lane(end: FrameTypes) -> None:
    """One that is never used again would be kept, and asked at each read, for as long as the connection lives."""
    line = Line()
    line.receive(b"".join(delivery(b"before")))
    close = marshal(end, MINE)
    line.receive(close + HEARTBEAT)
    assert line.lane._handlers == {}
    assert line.bodies == [b"before"]
    assert await line.left() == close + HEARTBEAT
    line.arrivals.acknowledge(1)
    assert line.written == []


async def test_until_the_broker_agrees_to_its_end_a_channel_keeps_its_frames_from_aiormq() -> None:
    """Nobody reads a channel of aiormq's that is closing: a few frames more, and the whole connection would stand."""
    line = Line()
    line.underlay.is_closed = True
    line.receive(b"".join(delivery(b"late")))
    assert await line.left() == b""


async def test_nothing_is_sent_on_a_channel_that_is_closed() -> None:
    line = Line()
    line.underlay.is_closed = True
    line.arrivals.acknowledge(1)
    assert line.written == []


async def test_nothing_is_sent_on_a_connection_that_is_closing() -> None:
    line = Line()
    line.closing = True
    line.arrivals.acknowledge(1)
    assert line.written == []
