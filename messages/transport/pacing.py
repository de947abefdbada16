"""Under load, fewer and larger batches: to process, database and broker, each costs as much as dozens of documents."""

import asyncio
import math
import time
from collections.abc import Callable

APART_SECONDS = 0.01
"""From one batch to the next, under load."""
WORTH_DOCUMENTS = 6.0
"""What is to be expected in that time, or else nobody waits for it."""
REMEMBERED_SECONDS = 0.2
"""How far back it is looked to tell how much comes."""


async def set_within(event: asyncio.Event, seconds: float) -> None:
    """Clear the event, and wait until it is set, but not for longer."""
    event.clear()
    # A fifth of what wait_for costs, which starts a task: 0.7 us instead of 3.6.
    alarm = asyncio.get_running_loop().call_later(seconds, event.set)
    try:
        await event.wait()
    finally:
        alarm.cancel()


class Pace:
    """Knows how much comes, and so whether the next batch had better wait a moment.

    A batch that took longer than that is followed by the next one at once: an overload is not slowed down.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_at = -math.inf
        self._documents_per_second = 0.0

    def begin(self, documents: int) -> None:
        """A batch of so many begins now."""
        now = self._clock()
        forgotten = math.exp((self._began_at - now) / REMEMBERED_SECONDS)
        self._documents_per_second = self._documents_per_second * forgotten + documents / REMEMBERED_SECONDS
        self._began_at = now

    def wait_seconds(self) -> float:
        """Until the next one should begin."""
        expected = self._documents_per_second * APART_SECONDS
        return max(0.0, self._began_at + APART_SECONDS - self._clock()) if expected >= WORTH_DOCUMENTS else 0.0
