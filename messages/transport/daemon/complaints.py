"""What an outage makes fail each second must not drown the rest of the log."""

import math
import time

AGAIN_AFTER_SECONDS = 30.0


class Complaints:
    """Knows which failures have been told lately."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[str, float]] = {}

    def is_news(self, about: str, error: Exception) -> bool:
        """Whether to tell of it: another failure than last time, or the same after a while. Counts as told then."""
        now, said = time.monotonic(), f"{type(error).__name__}: {error}"
        before, told_at = self._told.get(about, ("", -math.inf))
        if said == before and now - told_at < AGAIN_AFTER_SECONDS:
            return False
        self._told[about] = said, now
        return True

    def end(self, about: str) -> None:
        """It has succeeded: whatever fails next is news."""
        self._told.pop(about, None)
