"""Spaces out batches of new work under load: orders that start together stay batched in every later step."""

import math
import time
from collections.abc import Callable

APART = 6e-8
"""Seconds between batches = APART * documents_per_second²: 15 ms at 500, 60 ms at 1,000. The busier the CPUs, the
larger batches should be."""
LONGEST_SECONDS = 0.15
WORTH_DOCUMENTS = 2.0
"""If fewer are expected in that time, there is no wait."""
REMEMBERED_SECONDS = 0.2
"""The time constant of the moving average of documents_per_second."""


class Pace:
    """Measures how much new work comes, and so how long the next batch of it should wait.

    A batch costs process, database and broker as much as dozens of documents. One that took longer than the wait is
    followed by the next at once: an overload is not slowed down.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_at = -math.inf
        self._documents_per_second = 0.0

    def begin(self, documents: int) -> None:
        now = self._clock()
        forgotten = math.exp((self._began_at - now) / REMEMBERED_SECONDS)
        self._documents_per_second = self._documents_per_second * forgotten + documents / REMEMBERED_SECONDS
        self._began_at = now

    def wait_seconds(self) -> float:
        """Until the next batch should begin."""
        apart_seconds = min(LONGEST_SECONDS, APART * self._documents_per_second**2)
        if self._documents_per_second * apart_seconds < WORTH_DOCUMENTS:
            return 0.0
        return max(0.0, self._began_at + apart_seconds - self._clock())
