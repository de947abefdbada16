"""A subscription acknowledges nothing on a channel that it has given up, and consumes nothing once it is stopped."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from messages.transport.backoff import Backoff
from messages.transport.rabbitmq import channel_consumer, subscription
from messages.transport.rabbitmq.arrivals import CAUTIOUS_CONSUMER, Arrivals
from messages.transport.rabbitmq.connection import CALL_SECONDS
from messages.transport.rabbitmq.frames import HEAD
from messages.transport.rabbitmq.subscription import RabbitSubscription
from tests.unit.fast_lane.line import delivery


class Channel:
    """One of RabbitMQ's that grants everything at once, but the full prefetch only when it is told to."""

    def __init__(self) -> None:
        self.widens = asyncio.Event()
        self.sent: list[bytes] = []
        self.receiver: Arrivals | None = None
        self.underlay = Mock(
            on_consumer_cancel_callbacks=set(),
            closing=asyncio.get_running_loop().create_future(),
            basic_qos=self._qos,
            basic_consume=AsyncMock(),
            basic_cancel=AsyncMock(),
            basic_nack=AsyncMock(),
            close=AsyncMock(),
        )
        self.number = 1
        self.send = self.sent.append

    def hand_to(self, receiver: Arrivals) -> None:
        self.receiver = receiver

    def receive_something_harmless(self, tag: int = 1) -> None:
        assert self.receiver is not None
        deliver, header, _ = delivery(b"harmless", CAUTIOUS_CONSUMER, tag=tag)
        self.receiver.method(deliver, HEAD.size)
        self.receiver.content(header[HEAD.size : -1], b"harmless")

    async def _qos(self, prefetch_count: int) -> None:
        if prefetch_count > 1:
            await self.widens.wait()


async def test_what_waits_to_be_acknowledged_is_so_once_the_prefetch_is_lifted() -> None:
    reader, channel, acknowledging = await _widening()
    channel.widens.set()
    await acknowledging
    assert len(channel.sent) == 1
    await reader.close()


async def test_what_waits_to_be_acknowledged_is_not_once_its_consumer_is_lost() -> None:
    """RabbitMQ ends the whole connection for an acknowledgement on a channel that is closed already."""
    reader, channel, acknowledging = await _widening()
    for told in channel.underlay.on_consumer_cancel_callbacks:
        told(Mock())
    await asyncio.wait_for(acknowledging, CALL_SECONDS / 2)
    assert not channel.sent
    await reader.close()


async def test_what_comes_while_consuming_is_resumed_is_acknowledged_before_that_goes_on() -> None:
    """RabbitMQ 3.10 fails at the tag of a consumer that is used again before."""
    reader, channel = await _paused()
    resuming = asyncio.create_task(reader.resume())
    await _turns()
    channel.receive_something_harmless(tag=2)
    channel.widens.set()
    await resuming
    assert channel.underlay.basic_consume.await_count == 2
    await reader.acknowledge(reader.arrived[-1])
    assert channel.underlay.basic_consume.await_count == 3
    await reader.close()


async def test_consuming_is_resumed_once_however_many_ask_for_it() -> None:
    """RabbitMQ ends the whole connection for the tag of a consumer that is there already."""
    reader, channel = await _paused()
    resuming = asyncio.gather(reader.resume(), reader.resume())
    await _turns()
    channel.widens.set()
    await resuming
    assert channel.underlay.basic_consume.await_count == 3
    await reader.close()


async def test_a_subscription_is_closed_though_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_consumer, "CLOSE_SECONDS", 0.01)
    channel = Channel()
    reader = _subscription(AsyncMock(return_value=channel))
    await _turns()
    channel.underlay.basic_cancel = channel.underlay.basic_qos = _be_silent
    await asyncio.wait_for(reader.close(), 60)


async def test_a_subscription_that_is_stopped_while_its_channel_opens_consumes_nothing() -> None:
    channel, opening, opened = Channel(), asyncio.Event(), asyncio.Event()

    async def open_channel() -> Channel:
        opening.set()
        await opened.wait()
        return channel

    reader = _subscription(open_channel)
    await opening.wait()
    await reader.stop()
    opened.set()
    await _turns()
    assert reader.settled
    channel.underlay.basic_consume.assert_not_awaited()
    await reader.close()


async def test_a_subscription_is_settled_once_the_broker_has_granted_it_and_not_when_it_is_asked() -> None:
    """It may refuse: then the service would seem to be ready again and again."""
    channel, granted = Channel(), asyncio.Event()

    async def consume(*_: object, **__: object) -> None:
        await granted.wait()

    channel.underlay.basic_consume = AsyncMock(side_effect=consume)
    reader = _subscription(AsyncMock(return_value=channel))
    await _turns()
    channel.underlay.basic_consume.assert_awaited_once()
    assert not reader.settled
    granted.set()
    await _turns()
    assert reader.settled
    await reader.close()


async def test_a_consumer_that_is_lost_is_replaced_soon_however_long_the_last_one_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backoff = Backoff(base_seconds=0.0, cap_seconds=0.0)
    monkeypatch.setattr(subscription, "reconnect_backoff", lambda: backoff)
    reader = _subscription(AsyncMock(side_effect=[ConnectionError(), ConnectionError(), Channel()]))
    await _turns()
    assert (reader.settled, backoff.tries) == (True, 0)
    await reader.close()


async def _widening() -> tuple[RabbitSubscription, Channel, "asyncio.Task[None]"]:
    """With an acknowledgement that waits until the prefetch is lifted."""
    channel = Channel()
    reader = _subscription(AsyncMock(return_value=channel))
    await _turns()
    channel.receive_something_harmless()
    acknowledging = asyncio.create_task(reader.acknowledge(reader.arrived[0]))
    await _turns()
    assert not channel.sent
    return reader, channel, acknowledging


async def _paused() -> tuple[RabbitSubscription, Channel]:
    """With the full prefetch, which is not granted again before it is told to; nothing is unacknowledged."""
    reader, channel, acknowledging = await _widening()
    channel.widens.set()
    await acknowledging
    await reader.pause()
    channel.widens.clear()
    return reader, channel


async def _be_silent(*_: object, **__: object) -> None:
    await asyncio.Event().wait()


def _subscription(open_channel: Callable[[], Awaitable[Any]]) -> RabbitSubscription:
    return RabbitSubscription(Mock(), open_channel, "work", 7, Mock(), consumer_priority=0)


async def _turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
