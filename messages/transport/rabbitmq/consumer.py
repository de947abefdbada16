"""Consumes one queue on a channel of its own, and on a new one whenever channel, consumer or queue is lost."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import structlog
from aio_pika.abc import AbstractChannel
from aiormq.abc import AbstractChannel as UnderlayChannel
from aiormq.abc import DeliveredMessage

from messages.transport.broker import Arrival
from messages.transport.rabbitmq.connection import (
    BROKER_FAILURES,
    CALL_SECONDS,
    CLOSE_SECONDS,
    Link,
    close_quietly,
    patience,
    unasked_cancellation_is_a_failure,
    why,
)

log = structlog.get_logger(__name__)

CONSUMER = "consumer"
"""A tag is unique in its channel, and each channel has one consumer."""


class RabbitSubscription:
    """Keeps the contract of Subscription. The epoch of an arrival is the channel it came from."""

    def __init__(
        self,
        link: Link,
        open_channel: Callable[[], Awaitable[AbstractChannel]],
        queue: str,
        prefetch: int,
        on_arrival: Callable[[], None],
    ) -> None:
        self.queue = queue
        self.arrived: deque[Arrival] = deque()
        self.served = False
        self._link = link
        self._open_channel = open_channel
        self._prefetch = prefetch
        self._on_arrival = on_arrival
        self._epoch: UnderlayChannel | None = None
        self._stopped = False
        self._keeper = asyncio.create_task(self._keep_consuming(), name=f"consume {queue}")

    @property
    def settled(self) -> bool:
        """What was asked for is so: the queue is being consumed, or no longer."""
        return self.served or self._stopped

    async def acknowledge(self, last: Arrival) -> None:
        channel = self._epoch
        if channel is None or last.epoch is not channel:
            return
        # If it cannot be sent, the channel is dying, and all that it carried is delivered again.
        with suppress(*BROKER_FAILURES), unasked_cancellation_is_a_failure():
            async with asyncio.timeout(CALL_SECONDS):
                await channel.basic_ack(last.tag, multiple=True, wait=False)

    async def stop(self) -> None:
        self._stopped = True
        if self._epoch is None:
            self._keeper.cancel()
            return
        # Without waiting for the answer: what still arrives stays unacknowledged.
        with suppress(*BROKER_FAILURES), unasked_cancellation_is_a_failure():
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._epoch.basic_cancel(CONSUMER, nowait=True)

    async def close(self) -> None:
        """Give back what is unacknowledged. Since RabbitMQ 4.3 that does not count as a failure; losing us would."""
        await self.stop()
        if self._epoch is not None:
            with suppress(*BROKER_FAILURES):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._epoch.basic_nack(0, multiple=True, requeue=True, wait=False)
        self._keeper.cancel()
        await asyncio.wait([self._keeper])

    async def _keep_consuming(self) -> None:
        backoff = patience()
        while not self._stopped:
            try:
                async with self._consuming() as lost:
                    backoff.reset()
                    log.warning("consumer lost", queue=self.queue, reason=await lost)
            except Exception as error:  # noqa: BLE001 - whatever it is, the queue is still to be consumed
                log.warning("cannot consume", queue=self.queue, error=self._link.tell(error))
            await asyncio.sleep(backoff.next_seconds())

    @asynccontextmanager
    async def _consuming(self) -> AsyncIterator["asyncio.Future[str]"]:
        """Yields what will tell why it is over."""
        channel = await self._open_channel()
        try:
            underlay = await channel.get_underlay_channel()
            lost = self._watch(underlay)
            await self._consume(underlay)
            self.served = True
            yield lost
        finally:
            self.served = False
            self._epoch = None
            self.arrived.clear()
            await close_quietly(channel)

    def _watch(self, channel: UnderlayChannel) -> "asyncio.Future[str]":
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def lose(reason: str) -> None:
            if not lost.done():
                lost.set_result(reason)

        # RabbitMQ cancels a consumer whose queue is deleted, or which sat on a message for too long. The tag cannot
        # be trusted to be free again then, so the whole channel is replaced.
        channel.on_consumer_cancel_callbacks.add(lambda _: lose("cancelled by the broker"))
        channel.closing.add_done_callback(lambda closing: lose(self._link.tell(why(closing))))
        return lost

    async def _consume(self, channel: UnderlayChannel) -> None:
        with unasked_cancellation_is_a_failure():
            await channel.basic_qos(prefetch_count=self._prefetch, timeout=CALL_SECONDS)
            self._epoch = channel  # from here on, `stop` finds a consumer to cancel: calls go out in order
            arrive = partial(self._arrive, channel)
            await channel.basic_consume(self.queue, arrive, consumer_tag=CONSUMER, timeout=CALL_SECONDS)

    async def _arrive(self, epoch: UnderlayChannel, message: DeliveredMessage) -> None:
        """Only append: this runs in a task of the channel's, and dies with it."""
        tag = message.delivery_tag
        if epoch is self._epoch and tag is not None:
            content_type = message.header.properties.content_type
            self.arrived.append(Arrival(message.body, content_type, _failures(message), tag, epoch))
            self._on_arrival()


def _failures(message: DeliveredMessage) -> int:
    if not message.redelivered:
        return 0  # whatever the headers say: a client can write them too
    count = (message.header.properties.headers or {}).get("x-delivery-count", 1)
    return count if isinstance(count, int) else 1
