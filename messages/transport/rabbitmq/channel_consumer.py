"""A consumer on one channel, from its opening to its loss: one message at a time first, until a harmless one comes."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from aiormq.abc import DeliveredMessage

from messages.transport.broker import Arrival
from messages.transport.rabbitmq.arrivals import CAUTIOUS_CONSUMER, CONSUMER, Arrivals
from messages.transport.rabbitmq.connection import BROKER_FAILURES, cancellation_as_connection_error, in_time, why
from messages.transport.rabbitmq.fast_channel import FastChannel
from messages.transport.rabbitmq.fast_connection import CLOSE_SECONDS


@dataclass(frozen=True, slots=True)
class Consumption:
    """What is the same on every channel of a subscription."""

    queue: str
    prefetch: int
    priority: int
    arrived: deque[Arrival]
    on_arrival: Callable[[], None]
    describe: Callable[[BaseException | None], str]


class ChannelConsumer:
    """Its arrivals have `arrivals` as their epoch. Once `lost` is done, with the reason, another channel must consume.

    It is cautious (a prefetch of 1), then widening (AMQP's consumer is being replaced), then wide (the full prefetch).
    In each of these states it consumes or, paused, keeps only what has come before. After a pause it consumes again
    once all of that is acknowledged: RabbitMQ 3.10 fails at a tag that is used again before.
    """

    def __init__(self, consumption: Consumption, channel: FastChannel, *, consuming: bool) -> None:
        self.arrivals = Arrivals(channel, consumption.arrived, consumption.on_arrival, self._widen)
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.served = False
        """It has what it asked for."""
        self._consumption = consumption
        self._channel = channel.underlay
        self._consuming = consuming
        self._cancelled = not consuming
        self._ended = False
        self._cautious = True
        self._tag = CAUTIOUS_CONSUMER
        self._changing = asyncio.Lock()
        self._widening: asyncio.Task[None] | None = None
        self._watch()

    async def begin(self) -> None:
        async with self._changing:
            with cancellation_as_connection_error():
                await self._ask_for_arrivals()
        self.served = True

    async def acknowledge(self, tag: int) -> None:
        if self._widening is not None:
            # Unacknowledged, the old consumer is at its prefetch of 1 and gets nothing while it is being replaced.
            await asyncio.wait({self._widening})
        if not self._ended:  # meanwhile
            self.arrivals.acknowledge(tag)
            await self._end_pause()

    async def pause(self) -> None:
        self._consuming, self._cancelled = False, True
        async with self._changing:
            await self._cancel()

    async def resume(self) -> None:
        self._consuming = True
        await self._end_pause()

    async def stop(self) -> None:
        self._consuming = False
        self.arrivals.stop()
        await self._cancel()

    async def give_back(self) -> None:
        """What is unacknowledged goes back to the queue."""
        with suppress(*BROKER_FAILURES), cancellation_as_connection_error():
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.arrivals.give_back()

    def end(self) -> None:
        """Nothing arrives or is acknowledged any more; the channel is still to be closed."""
        self._ended = True
        self.arrivals.stop()
        if self._widening is not None:
            self._widening.cancel()

    def _watch(self) -> None:
        # RabbitMQ cancels a consumer whose queue is deleted, or which held a message for too long. The tag cannot
        # be trusted to be free again then, so the whole channel is replaced.
        self._channel.on_consumer_cancel_callbacks.add(lambda _: self._lose("cancelled by the broker"))
        self._channel.closing.add_done_callback(lambda closing: self._lose(self._consumption.describe(why(closing))))

    def _lose(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)

    async def _ask_for_arrivals(self) -> None:
        await in_time(self._channel.basic_qos(prefetch_count=1 if self._cautious else self._consumption.prefetch))
        # With that answer all has come that was still on its way.
        must_wait = self._cancelled and self.arrivals.unacknowledged
        if self._consuming and not must_wait:
            self._cancelled = False
            self._tag = CAUTIOUS_CONSUMER if self._cautious else CONSUMER
            await in_time(
                self._channel.basic_consume(
                    self._consumption.queue,
                    _nothing_comes_here,
                    arguments={"x-priority": self._consumption.priority},
                    consumer_tag=self._tag,
                )
            )

    async def _cancel(self) -> None:
        """Cancel the consumer, without waiting for the reply: what still arrives stays unacknowledged."""
        with suppress(Exception), cancellation_as_connection_error():
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._channel.basic_cancel(self._tag, nowait=True)

    def _widen(self) -> None:
        """The first arrival that is no suspect lifts the prefetch from 1 to its full value."""
        self._cautious = False
        self._widening = asyncio.create_task(self._replace())
        self._widening.add_done_callback(self._widened)

    def _widened(self, _: object) -> None:
        self._widening = None

    async def _replace(self) -> None:
        """Replace the consumer, because a new prefetch applies to new consumers only."""
        async with self._change():
            await self._channel.basic_cancel(self._tag, nowait=True)
            await self._ask_for_arrivals()

    async def _end_pause(self) -> None:
        if self._consuming and self._cancelled and not self.arrivals.unacknowledged:
            async with self._change():
                if self._cancelled:  # another acknowledgement may have ended it meanwhile
                    await self._ask_for_arrivals()

    @asynccontextmanager
    async def _change(self) -> AsyncIterator[None]:
        """One change at a time. Whatever goes wrong, a fresh channel consumes."""
        try:
            async with self._changing:
                with cancellation_as_connection_error():
                    yield
        except Exception as error:  # noqa: BLE001 - as said
            self._lose(self._consumption.describe(error))


async def _nothing_comes_here(message: DeliveredMessage) -> None:
    """The fast lane takes deliveries. But aiormq handles the end of a consumer only if it knows the consumer."""
