"""Acknowledges what was handled, a few batches together."""

import asyncio
from collections.abc import Sequence

from messages.transport.batches.taken import Taken, is_isolated

ACKNOWLEDGE_SECONDS = 0.02
MAX_UNACKNOWLEDGED = 50
"""Arrivals. An acknowledgement costs as much as a statement, mostly for waking up the broker, so they are batched."""


class Acknowledgements:
    """Those that are owed: cumulative, by the last arrival of each channel."""

    def __init__(self) -> None:
        self._last: dict[object, Taken] = {}
        self._arrivals = 0
        self._limit = MAX_UNACKNOWLEDGED
        self._acknowledging: asyncio.Task[None] | None = None

    def expect_prefetch(self, prefetch: int) -> None:
        """Owe far fewer than this: at that many unacknowledged messages the broker delivers no more."""
        self._limit = min(self._limit, prefetch // 4)

    async def add(self, batch: Sequence[Taken]) -> None:
        """Acknowledge a batch soon, together with those that follow.

        If the process dies before, it is redelivered, as if the process had died a moment earlier.
        """
        self._last |= {taken.arrival.epoch: taken for taken in batch}
        self._arrivals += len(batch)
        if self._arrivals >= self._limit or is_isolated(batch):
            await self.send()
        elif self._acknowledging is None:
            self._acknowledging = asyncio.create_task(self._send_later())

    async def send(self) -> None:
        if self._acknowledging is not None:
            self._acknowledging.cancel()
            self._acknowledging = None
        owed, self._last, self._arrivals = self._last, {}, 0
        for last in owed.values():
            await last.subscription.acknowledge(last.arrival)

    async def _send_later(self) -> None:
        await asyncio.sleep(ACKNOWLEDGE_SECONDS)
        self._acknowledging = None
        await self.send()
