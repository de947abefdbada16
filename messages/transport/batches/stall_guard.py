"""Pauses consuming while the current batch is stuck, so that messages go to other daemons of the service."""

import asyncio
from collections.abc import Sequence

import structlog

from messages.transport.broker import Subscription

log = structlog.get_logger(__name__)

HELD_SECONDS = 2.0
"""Far longer than a batch takes, and short enough for an order that waits for a message in the batch."""


class StallGuard:
    """Pauses consuming while a batch is stuck: a daemon that can receive but not commit or publish hoards messages."""

    def __init__(self, subscriptions: Sequence[Subscription]) -> None:
        self._subscriptions = subscriptions
        self._alarm: asyncio.TimerHandle | None = None
        self._pausing: asyncio.Task[None] | None = None

    @property
    def paused(self) -> bool:
        return self._pausing is not None

    def expect_progress(self) -> None:
        """Start the timer, unless it runs or consuming is paused already."""
        if self._alarm is None and not self.paused:
            self._alarm = asyncio.get_running_loop().call_later(HELD_SECONDS, self._begin)

    async def progress(self) -> None:
        """Stop the timer, and resume consuming."""
        self.cancel()
        if self._pausing is not None:
            await self._pausing
            self._pausing = None
            log.info("consuming resumed")
            await asyncio.gather(*(subscription.resume() for subscription in self._subscriptions))

    def cancel(self) -> None:
        """Stop the timer."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _begin(self) -> None:
        log.warning("consuming paused until the current batch is finished", held_seconds=HELD_SECONDS)
        self._pausing = asyncio.create_task(self._pause())

    async def _pause(self) -> None:
        # Together: one whose queue has no leader takes its time, and the others must not be hoarded meanwhile.
        await asyncio.gather(*(subscription.pause() for subscription in self._subscriptions))
