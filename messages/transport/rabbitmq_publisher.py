"""Publishes envelopes with confirms, and never waits longer for them than it was told to."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeAlias

import structlog
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel
from aiormq.abc import AbstractChannel as UnderlayChannel

from messages.transport.broker import Envelope
from messages.transport.rabbitmq_connection import close_quietly

log = structlog.get_logger(__name__)

IN_FLIGHT = 500
"""Envelopes of one call that await their confirm: at each cumulative confirm aiormq looks at all of them."""

Sending: TypeAlias = "dict[int, asyncio.Task[Any]]"
"""Position of the envelope -> its publish, which ends with the confirm."""


class RabbitPublisher:
    """One channel. When it owes a confirm for too long it is dropped: nobody knows any more what it has done."""

    def __init__(self, open_channel: Callable[[], Awaitable[AbstractChannel]], timeout_seconds: float) -> None:
        self._open_channel = open_channel
        self._timeout_seconds = timeout_seconds
        self._opening = asyncio.Lock()
        self._channel: AbstractChannel | None = None
        self._in_flight: set[str] = set()
        self._dropping: set[asyncio.Task[None]] = set()

    async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
        """See Broker.publish."""
        deadline = asyncio.get_running_loop().time() + self._timeout_seconds
        confirmed: list[bool] = []
        for start in range(0, len(envelopes), IN_FLIGHT):
            confirmed += await self._publish(envelopes[start : start + IN_FLIGHT], deadline)
        return confirmed

    async def close(self) -> None:
        """Stop waiting for channels that were dropped; the connection is closed next."""
        for task in self._dropping:
            task.cancel()
        await asyncio.gather(*self._dropping, return_exceptions=True)

    async def _publish(self, envelopes: Sequence[Envelope], deadline: float) -> list[bool]:
        try:
            async with asyncio.timeout_at(deadline):
                channel = await self._usable_channel()
                underlay = await channel.get_underlay_channel()
        except Exception as error:  # noqa: BLE001 - whatever it was, the caller says it again
            log.warning("no channel to publish on", error=type(error).__name__)
            return [False] * len(envelopes)
        sending = self._send(underlay, envelopes)
        try:
            await _all_done(sending.values(), deadline)
        finally:
            self._in_flight.difference_update(envelopes[position].message_id for position in sending)
            self._give_up(channel, [task for task in sending.values() if not task.done()])
        _report(sending.values())
        return [position in sending and _confirmed(sending[position]) for position in range(len(envelopes))]

    async def _usable_channel(self) -> AbstractChannel:
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                self._channel = await self._open_channel()
            return self._channel

    def _send(self, channel: UnderlayChannel, envelopes: Sequence[Envelope]) -> Sending:
        """Publish all whose message id is not in flight: a return names nothing else, and would hit the wrong one."""
        sending: Sending = {}
        for position, envelope in enumerate(envelopes):
            if envelope.message_id not in self._in_flight:
                self._in_flight.add(envelope.message_id)
                sending[position] = asyncio.create_task(_published(channel, envelope))
        return sending

    def _give_up(self, channel: AbstractChannel, late: Sequence["asyncio.Task[Any]"]) -> None:
        if not late:
            return
        for task in late:
            task.cancel()
        if self._channel is channel:
            self._channel = None
        dropping = asyncio.create_task(close_quietly(channel))
        self._dropping.add(dropping)
        dropping.add_done_callback(self._dropping.discard)


def _published(channel: UnderlayChannel, envelope: Envelope) -> Coroutine[Any, Any, Any]:
    message = Message(
        envelope.body,
        content_type=envelope.content_type,
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=envelope.message_id,
        type=envelope.wire_type,
        correlation_id=envelope.correlation_id,
    )
    return channel.basic_publish(
        message.body,
        exchange=envelope.to.exchange,
        routing_key=envelope.to.key,
        properties=message.properties,
        mandatory=envelope.mandatory,
    )


async def _all_done(tasks: Iterable["asyncio.Task[Any]"], deadline: float) -> None:
    if tasks := list(tasks):
        await asyncio.wait(tasks, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))


def _confirmed(task: "asyncio.Task[Any]") -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _report(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    failures = Counter(_failure(task) for task in tasks if not _confirmed(task))
    if failures:
        log.warning("publishing failed", failures=dict(failures))


def _failure(task: "asyncio.Task[Any]") -> str:
    """`PublishError` was returned as unroutable, `DeliveryError` was refused; `Late` is what nobody confirmed."""
    if not task.done() or task.cancelled():
        return "Late"
    return type(task.exception()).__name__
