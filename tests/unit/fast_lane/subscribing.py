"""A subscription whose channels the test plays."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from unittest.mock import AsyncMock, Mock

from messages.transport.rabbitmq.arrivals import CAUTIOUS_CONSUMER, Arrivals
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


async def widening() -> tuple[RabbitSubscription, Channel, "asyncio.Task[None]"]:
    """With an acknowledgement that waits until the prefetch is lifted."""
    channel = Channel()
    reader = subscribed(AsyncMock(return_value=channel))
    await turns()
    channel.receive_something_harmless()
    acknowledging = asyncio.create_task(reader.acknowledge(reader.arrived[0]))
    await turns()
    assert not channel.sent
    return reader, channel, acknowledging


async def paused() -> tuple[RabbitSubscription, Channel]:
    """With the full prefetch, which is not granted again before it is told to; nothing is unacknowledged."""
    reader, channel, acknowledging = await widening()
    channel.widens.set()
    await acknowledging
    await reader.pause()
    channel.widens.clear()
    return reader, channel


async def be_silent(*_: object, **__: object) -> None:
    await asyncio.Event().wait()


def subscribed(open_channel: Callable[[], Awaitable[Any]]) -> RabbitSubscription:
    return RabbitSubscription(Mock(), open_channel, "work", 7, Mock(), consumer_priority=0)


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
