"""Consumes one queue on a channel of its own, and on a new one whenever channel, consumer or queue is lost."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import structlog
from aiormq.abc import AbstractChannel as UnderlayChannel
from aiormq.abc import DeliveredMessage
from pamqp.common import FieldValue

from messages.transport.broker import Arrival
from messages.transport.cancelling import cancel
from messages.transport.rabbitmq.arrivals import CAUTIOUS_CONSUMER, CONSUMER, Arrivals
from messages.transport.rabbitmq.connection import (
    BROKER_FAILURES,
    SupervisedConnection,
    cancellation_as_connection_error,
    close_quietly,
    in_time,
    reconnect_backoff,
    why,
)
from messages.transport.rabbitmq.fast_channel import FastChannel
from messages.transport.rabbitmq.fast_lane import CLOSE_SECONDS

log = structlog.get_logger(__name__)


class RabbitSubscription:
    """Implements Subscription. The epoch of an arrival is its channel's `Arrivals`."""

    def __init__(
        self,
        link: SupervisedConnection,
        open_channel: Callable[[], Awaitable[FastChannel]],
        queue: str,
        prefetch: int,
        on_arrival: Callable[[], None],
        *,
        consumer_priority: int = 0,
    ) -> None:
        self.queue = queue
        self.arrived: deque[Arrival] = deque()
        self.served = False
        self._link = link
        self._open_channel = open_channel
        self._prefetch = prefetch
        self._arguments: dict[str, FieldValue] = {"x-priority": consumer_priority}
        self._on_arrival = on_arrival
        self._epoch: Arrivals | None = None
        self._lose: Callable[[str], None] = _nothing_to_lose
        self._paused = False
        self._stopped = False
        self._one_at_a_time = True
        self._consumer = CAUTIOUS_CONSUMER
        self._changing = asyncio.Lock()
        self._widening: asyncio.Task[None] | None = None
        self._keeper = asyncio.create_task(self._keep_consuming(), name=f"consume {queue}")

    @property
    def settled(self) -> bool:
        """The requested state is reached: consuming, paused or stopped."""
        return self.served or self._stopped

    async def acknowledge(self, last: Arrival) -> None:
        if self._widening is not None:
            # Unacknowledged, the old consumer is at its prefetch of 1 and gets nothing while it is being replaced.
            await asyncio.wait({self._widening})
        if self._epoch is not None and last.epoch is self._epoch:
            self._epoch.acknowledge(last.tag)

    async def pause(self) -> None:
        self._paused = True
        async with self._changing:
            await self._cancel()

    async def resume(self) -> None:
        self._paused = False
        if self._epoch is not None:
            await self._resubscribe(self._epoch, self._lose)

    async def stop(self) -> None:
        self._stopped = True
        if self._epoch is None:
            self._keeper.cancel()
            return
        self._epoch.stop()
        await self._cancel()

    async def close(self) -> None:
        await self.stop()
        if self._epoch is not None:
            with suppress(*BROKER_FAILURES), cancellation_as_connection_error():
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._epoch.give_back()
        await cancel(self._keeper)

    async def _cancel(self) -> None:
        """Cancel the consumer, without waiting for the reply: what still arrives stays unacknowledged."""
        if self._epoch is None:
            return
        with suppress(Exception), cancellation_as_connection_error():
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._epoch.channel.underlay.basic_cancel(self._consumer, nowait=True)

    async def _resubscribe(self, arrivals: Arrivals, lose: Callable[[str], None]) -> None:
        """Replace the consumer: a new prefetch, say, applies to new consumers only."""
        underlay = arrivals.channel.underlay
        try:
            async with self._changing:
                with cancellation_as_connection_error():
                    await underlay.basic_cancel(self._consumer, nowait=True)
                    await self._ask_for_arrivals(underlay)
        except Exception as error:  # noqa: BLE001 - whatever it was, a fresh channel consumes
            lose(self._link.describe(error))

    async def _keep_consuming(self) -> None:
        backoff = reconnect_backoff()
        while not self._stopped:
            try:
                async with self._consuming() as lost:
                    backoff.reset()
                    log.warning("consumer lost", queue=self.queue, reason=await lost)
            except Exception as error:  # noqa: BLE001 - whatever it is, the queue is still to be consumed
                log.warning("cannot consume", queue=self.queue, error=self._link.describe(error))
            await asyncio.sleep(backoff.next_seconds())

    @asynccontextmanager
    async def _consuming(self) -> AsyncIterator["asyncio.Future[str]"]:
        """Yields a future of the reason why consuming is over."""
        channel = await self._open_channel()
        arrivals = Arrivals(channel, self.arrived, self._on_arrival, self._widen)
        try:
            lost = self._watch(channel.underlay)
            await self._consume(arrivals)
            self.served = True
            yield lost
        finally:
            self.served = False
            self._epoch = None
            self._one_at_a_time = True
            if self._widening is not None:
                self._widening.cancel()
                self._widening = None
            arrivals.stop()
            self.arrived.clear()
            await close_quietly(channel.underlay)

    def _watch(self, channel: UnderlayChannel) -> "asyncio.Future[str]":
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def lose(reason: str) -> None:
            if not lost.done():
                lost.set_result(reason)

        # RabbitMQ cancels a consumer whose queue is deleted, or which held a message for too long. The tag cannot
        # be trusted to be free again then, so the whole channel is replaced.
        channel.on_consumer_cancel_callbacks.add(lambda _: lose("cancelled by the broker"))
        channel.closing.add_done_callback(lambda closing: lose(self._link.describe(why(closing))))
        self._lose = lose
        return lost

    async def _consume(self, arrivals: Arrivals) -> None:
        underlay = arrivals.channel.underlay
        async with self._changing:
            with cancellation_as_connection_error():
                self._epoch = arrivals  # from here on, `stop` finds a consumer to cancel: calls go out in order
                await self._ask_for_arrivals(underlay)

    async def _ask_for_arrivals(self, channel: UnderlayChannel) -> None:
        await in_time(channel.basic_qos(prefetch_count=1 if self._one_at_a_time else self._prefetch))
        if not self._paused and not self._stopped:
            self._consumer = CAUTIOUS_CONSUMER if self._one_at_a_time else CONSUMER
            await in_time(
                channel.basic_consume(
                    self.queue, _nothing_comes_here, arguments=self._arguments, consumer_tag=self._consumer
                )
            )

    def _widen(self) -> None:
        """The first arrival that is no suspect lifts the prefetch from 1 to its full value."""
        self._one_at_a_time = False
        if self._epoch is not None:
            self._widening = asyncio.create_task(self._resubscribe(self._epoch, self._lose))
            self._widening.add_done_callback(self._widened)

    def _widened(self, task: "asyncio.Task[None]") -> None:
        if self._widening is task:  # not the task of a newer channel
            self._widening = None


def _nothing_to_lose(_reason: str) -> None:
    """Placeholder until the first channel is open."""


async def _nothing_comes_here(message: DeliveredMessage) -> None:
    """The fast lane takes deliveries. But aiormq handles the end of a consumer only if it knows the consumer."""
