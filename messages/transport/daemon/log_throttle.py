"""Throttles repeated log lines about one failure, so that an outage does not flood the log."""

import math
import time

AGAIN_AFTER_SECONDS = 30.0


class LogThrottle:
    """Remembers which failures were logged lately."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[str, float]] = {}

    def should_log(self, about: str, error: Exception) -> bool:
        """Whether to log it: another failure than last time, or the same after a while. True counts as logged."""
        now, said = time.monotonic(), f"{type(error).__name__}: {error}"
        before, told_at = self._told.get(about, ("", -math.inf))
        if said == before and now - told_at < AGAIN_AFTER_SECONDS:
            return False
        self._told[about] = said, now
        return True

    def reset(self, about: str) -> None:
        """It has succeeded: its next failure is logged."""
        self._told.pop(about, None)
