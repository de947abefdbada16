"""Consumes one queue on a channel of its own, and on a new one whenever channel, consumer or queue is lost."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from messages.transport.broker import Arrival
from messages.transport.cancelling import cancel
from messages.transport.rabbitmq.channel_consumer import ChannelConsumer, Consumption
from messages.transport.rabbitmq.connection import SupervisedConnection, close_quietly, reconnect_backoff
from messages.transport.rabbitmq.fast_channel import FastChannel

log = structlog.get_logger(__name__)


class RabbitSubscription:
    """Implements Subscription."""

    def __init__(
        self,
        link: SupervisedConnection,
        open_channel: Callable[[], Awaitable[FastChannel]],
        queue: str,
        prefetch: int,
        on_arrival: Callable[[], None],
        *,
        consumer_priority: int,
    ) -> None:
        self.queue = queue
        self.arrived: deque[Arrival] = deque()
        self._open_channel = open_channel
        self._consumption = Consumption(queue, prefetch, consumer_priority, self.arrived, on_arrival, link.describe)
        self._consumer: ChannelConsumer | None = None
        self._paused = False
        self._stopped = False
        self._keeper = asyncio.create_task(self._keep_consuming(), name=f"consume {queue}")

    @property
    def settled(self) -> bool:
        """The requested state is reached: consuming, paused or stopped."""
        return self._stopped or (self._consumer is not None and self._consumer.served)

    async def acknowledge(self, last: Arrival) -> None:
        if self._consumer is not None and last.epoch is self._consumer.arrivals:
            await self._consumer.acknowledge(last.tag)

    async def pause(self) -> None:
        self._paused = True
        if self._consumer is not None:
            await self._consumer.pause()

    async def resume(self) -> None:
        self._paused = False
        if self._consumer is not None and not self._stopped:
            await self._consumer.resume()

    async def stop(self) -> None:
        self._stopped = True
        if self._consumer is not None:
            await self._consumer.stop()

    async def close(self) -> None:
        await self.stop()
        if self._consumer is not None:
            await self._consumer.give_back()
        await cancel(self._keeper)

    async def _keep_consuming(self) -> None:
        backoff = reconnect_backoff()
        while not self._stopped:
            try:
                async with self._consuming() as lost:
                    backoff.reset()
                    log.warning("consumer lost", queue=self.queue, reason=await lost)
            except Exception as error:  # noqa: BLE001 - whatever it is, the queue is still to be consumed
                log.warning("cannot consume", queue=self.queue, error=self._consumption.describe(error))
            await asyncio.sleep(backoff.next_seconds())

    @asynccontextmanager
    async def _consuming(self) -> AsyncIterator["asyncio.Future[str]"]:
        """Yields a future of the reason why consuming is over."""
        channel = await self._open_channel()
        consuming = not (self._paused or self._stopped)  # meanwhile
        self._consumer = consumer = ChannelConsumer(self._consumption, channel, consuming=consuming)
        try:
            await consumer.begin()
            yield consumer.lost
        finally:
            self._consumer = None
            consumer.end()
            self.arrived.clear()
            await close_quietly(channel.underlay)
