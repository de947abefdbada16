"""Each envelope is settled once, by what the broker says of that envelope, in whatever order it says so."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic, Channel
from pamqp.frame import FrameTypes, marshal, unmarshal
from pamqp.header import ContentHeader

from messages.transport.addresses import COMMANDS, Address
from messages.transport.broker import ONE_DOCUMENT, Envelope
from messages.transport.rabbitmq.confirms import LATE, NOT_SENT, REFUSED, RETURNED, ConfirmingChannel, Failure
from messages.transport.rabbitmq.fast_channel import FastChannel
from messages.transport.rabbitmq.fast_lane import FastLane

NUMBER = 7


class Broker:
    """Plays the broker to one confirming channel."""

    def __init__(self) -> None:
        self.lane = FastLane(asyncio.StreamReader())
        self.written = b""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        socket = SimpleNamespace(write=self._write, is_closing=lambda: False, get_extra_info=lambda _: None)
        self.lane.connection_made(cast("asyncio.Transport", socket))
        underlay = SimpleNamespace(number=NUMBER, is_closed=False, max_content_size=1000, closing=self.closed)
        self.channel = ConfirmingChannel(FastChannel(cast("Any", underlay), self.lane))

    def _write(self, frames: bytes) -> None:
        self.written += frames

    async def publishing(self, *envelopes: Envelope, seconds: float = 60.0) -> "asyncio.Task[list[Failure]]":
        deadline = asyncio.get_running_loop().time() + seconds
        task = asyncio.create_task(self.channel.publish(envelopes, deadline))
        await asyncio.sleep(0)
        return task

    def say(self, *frames: FrameTypes) -> None:
        self.lane.data_received(b"".join(marshal(frame, NUMBER) for frame in frames))

    def counted(self) -> int:
        """Publishes that reached it."""
        at, count = 0, 0
        while at < len(self.written):
            size, _, frame = unmarshal(self.written[at:])
            at += size
            count += isinstance(frame, Basic.Publish)
        return count


def envelope(message_id: str) -> Envelope:
    return Envelope(Address(COMMANDS, "work"), b"{}", ONE_DOCUMENT, message_id)


def returned(message_id: str) -> tuple[FrameTypes, FrameTypes]:
    """Of an envelope whose body is left out."""
    return Basic.Return(312, "NO_ROUTE", COMMANDS, "work"), ContentHeader(
        properties=Basic.Properties(message_id=message_id)
    )


@given(st.data())
async def test_whatever_the_order_of_the_confirms_each_envelope_gets_its_own(data: st.DataObject) -> None:
    broker = Broker()
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    calls = [[envelope(f"{call}-{each}") for each in range(size)] for call, size in enumerate(sizes)]
    publishing = [await broker.publishing(*each) for each in calls]
    ids = [each.message_id for call in calls for each in call]
    expected: dict[str, Failure] = {}
    open_tags = list(range(1, len(ids) + 1))
    while open_tags:
        tag = data.draw(st.sampled_from(open_tags))
        multiple, refused = data.draw(st.booleans()), data.draw(st.booleans())
        confirmed = [each for each in open_tags if each == tag or (multiple and each < tag)]
        for each in confirmed:
            expected[ids[each - 1]] = REFUSED if refused else None
            if data.draw(st.booleans()):
                expected[ids[each - 1]] = RETURNED
                broker.say(*returned(ids[each - 1]))
        broker.say(Basic.Nack(tag, multiple) if refused else Basic.Ack(tag, multiple))
        open_tags = [each for each in open_tags if each not in confirmed]
    for call, task in zip(calls, publishing, strict=True):
        assert await task == [expected[each.message_id] for each in call]
    assert broker.channel.usable
    assert not broker.channel._in_flight
    assert not broker.channel._tags


async def test_a_call_waits_for_the_last_of_its_confirms() -> None:
    broker = Broker()
    publishing = await broker.publishing(envelope("a"), envelope("b"))
    broker.say(*returned("a"), Basic.Ack(2))
    await asyncio.sleep(0)
    assert not publishing.done()
    broker.say(Basic.Ack(1))
    assert await publishing == [RETURNED, None]


async def test_a_confirm_said_twice_counts_once() -> None:
    broker = Broker()
    publishing = await broker.publishing(envelope("a"), envelope("b"))
    broker.say(Basic.Ack(1), Basic.Nack(1), Basic.Ack(1, multiple=True))
    await asyncio.sleep(0)
    assert not publishing.done()
    broker.say(Basic.Ack(2, multiple=True))
    assert await publishing == [None, None]


async def test_a_return_of_something_else_changes_nothing() -> None:
    broker = Broker()
    publishing = await broker.publishing(envelope("a"))
    broker.say(*returned("unknown"), *returned(""), Basic.Ack(1))
    assert await publishing == [None]


async def test_of_two_with_one_id_only_one_is_in_flight() -> None:
    broker = Broker()
    first = await broker.publishing(envelope("same"), envelope("other"), envelope("same"))
    second = await broker.publishing(envelope("same"))
    assert await second == [NOT_SENT]
    assert broker.counted() == 2
    broker.say(Basic.Ack(2, multiple=True))
    assert await first == [None, None, NOT_SENT]
    again = await broker.publishing(envelope("same"))
    broker.say(Basic.Ack(3))
    assert await again == [None]


async def test_an_envelope_that_cannot_be_written_costs_the_others_nothing() -> None:
    broker = Broker()
    with pytest.raises(ValueError, match="range"):
        await broker.channel.publish([envelope("fine"), envelope("x" * 256)], asyncio.get_running_loop().time() + 60)
    assert broker.written == b""
    publishing = await broker.publishing(envelope("fine"))
    broker.say(Basic.Ack(1))
    assert await publishing == [None]


async def test_after_a_late_confirm_nothing_more_is_said_but_others_still_hear_theirs() -> None:
    broker = Broker()
    patient = await broker.publishing(envelope("patient"))
    assert await (await broker.publishing(envelope("late"), seconds=0.01)) == [LATE]
    assert not broker.channel.usable
    assert await (await broker.publishing(envelope("behind"))) == [NOT_SENT]
    assert broker.counted() == 2
    broker.say(Basic.Ack(2, multiple=True))
    assert await patient == [None]


async def test_after_a_publisher_was_cancelled_nothing_more_is_said() -> None:
    broker = Broker()
    publishing = await broker.publishing(envelope("a"))
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    assert not broker.channel.usable
    broker.say(Basic.Ack(1))


async def test_whoever_waits_on_a_channel_that_dies_is_told_at_once_and_why() -> None:
    broker = Broker()
    waiting = [await broker.publishing(envelope("a"), envelope("b")), await broker.publishing(envelope("c"))]
    broker.say(Basic.Ack(2), *returned("c"))
    broker.closed.set_exception(ConnectionResetError("by peer"))
    async with asyncio.timeout(30):
        assert await asyncio.gather(*waiting) == [["ConnectionResetError", None], [RETURNED]]


async def test_nothing_is_said_on_a_channel_that_the_broker_closes() -> None:
    broker = Broker()
    broker.say(Channel.Close(404, "NOT_FOUND", 60, 40))
    assert not broker.channel.usable
    assert await (await broker.publishing(envelope("a"))) == [NOT_SENT]
    assert broker.written == b""
    broker.closed.cancel()
