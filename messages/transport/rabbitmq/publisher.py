"""Publishes envelopes with confirms, and never waits for them longer than its timeout."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import structlog

from messages.transport.broker import Envelope
from messages.transport.cancelling import cancel
from messages.transport.log_throttle import KindThrottle
from messages.transport.rabbitmq.confirms import ConfirmingChannel
from messages.transport.rabbitmq.connection import SupervisedConnection, close_quietly
from messages.transport.rabbitmq.fast_channel import FastChannel

log = structlog.get_logger(__name__)

SILENT_TIMEOUTS = 3
"""How many publish timeouts no channel may be opened on a connection before it is replaced by a new one."""


class RabbitPublisher:
    """Publishes on one channel, which is replaced when a confirm is late."""

    def __init__(
        self, link: SupervisedConnection, open_channel: Callable[[], Awaitable[FastChannel]], timeout_seconds: float
    ) -> None:
        self._link = link
        self._open_channel = open_channel
        self._timeout_seconds = timeout_seconds
        self._opening = asyncio.Lock()
        self._channel: ConfirmingChannel | None = None
        self._dropping: set[asyncio.Task[None]] = set()
        self._log_throttle = KindThrottle()
        self._silent_since: float | None = None

    async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
        deadline = asyncio.get_running_loop().time() + self._timeout_seconds
        channel = self._channel
        if channel is None or not channel.usable:
            try:
                async with asyncio.timeout_at(deadline):
                    channel = await self._usable_channel()
            except Exception as error:  # noqa: BLE001 - whatever it was, the caller publishes again
                self._warn("no channel to publish on", error=self._link.describe(error))
                if not isinstance(error, TimeoutError):
                    self._silent_since = None
                return [False] * len(envelopes)
        failures = await channel.publish(envelopes, deadline)
        if any(failures):
            self._warn("publishing failed", failures=dict(Counter(filter(None, failures))))
        return [failure is None for failure in failures]

    async def close(self) -> None:
        """Stop waiting for channels that were dropped; the connection is closed next."""
        await cancel(*self._dropping)

    async def _usable_channel(self) -> ConfirmingChannel:
        async with self._opening:
            if self._channel is not None and not self._channel.usable:
                self._drop(self._channel)
                self._channel = None
            if self._channel is None:
                self._reopen_if_silent()
                self._channel = ConfirmingChannel(await self._open_channel())
                self._silent_since = None
            return self._channel

    def _reopen_if_silent(self) -> None:
        """RabbitMQ reads nothing more from a connection to which a queue without a leader owes confirms."""
        now = asyncio.get_running_loop().time()
        if self._silent_since is None or not self._link.usable:
            self._silent_since = now
        elif now - self._silent_since > SILENT_TIMEOUTS * self._timeout_seconds:
            self._link.reopen()
            self._silent_since = None

    def _drop(self, channel: ConfirmingChannel) -> None:
        dropping = asyncio.create_task(close_quietly(channel.underlay))
        self._dropping.add(dropping)
        dropping.add_done_callback(self._dropping.discard)

    def _warn(self, event: str, **about: object) -> None:
        suppressed = self._log_throttle.suppressed(event)
        if suppressed is not None:
            log.warning(event, **about, suppressed=suppressed)
