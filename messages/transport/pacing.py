"""How far apart new work is begun. What begins together stays together, so nobody after it has to wait for more."""

import asyncio
import math
import time
from collections.abc import Callable

APART = 6e-8
"""Times the square of the documents a second, seconds from one beginning to the next: 15 ms at 500, 60 at 1,000. The
busier the processors, the dearer a batch is to everybody, and the more should share it."""
LONGEST_SECONDS = 0.15
WORTH_DOCUMENTS = 2.0
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
    """Knows how much new work comes, and so whether the next had better wait a moment.

    Each batch costs process, database and broker as much as dozens of documents do. What was handled for longer than
    that is followed by the next at once: an overload is not slowed down.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_at = -math.inf
        self._documents_per_second = 0.0

    def begin(self, documents: int) -> None:
        """So many begin now."""
        now = self._clock()
        forgotten = math.exp((self._began_at - now) / REMEMBERED_SECONDS)
        self._documents_per_second = self._documents_per_second * forgotten + documents / REMEMBERED_SECONDS
        self._began_at = now

    def wait_seconds(self) -> float:
        """Until the next should begin."""
        apart_seconds = min(LONGEST_SECONDS, APART * self._documents_per_second**2)
        if self._documents_per_second * apart_seconds < WORTH_DOCUMENTS:
            return 0.0
        return max(0.0, self._began_at + apart_seconds - self._clock())
