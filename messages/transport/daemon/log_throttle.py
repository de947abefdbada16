"""Throttles repeated log lines about one failure, so that an outage does not flood the log."""

import math
import time

AGAIN_AFTER_SECONDS = 30.0


class LogThrottle:
    """Remembers which failures were logged lately."""

    def __init__(self) -> None:
        self._logged: dict[str, tuple[str, float]] = {}

    def should_log(self, about: str, error: Exception) -> bool:
        """Whether to log it: another failure than last time, or the same after a while. True counts as logged."""
        now, text = time.monotonic(), f"{type(error).__name__}: {error}"
        before, logged_at = self._logged.get(about, ("", -math.inf))
        if text == before and now - logged_at < AGAIN_AFTER_SECONDS:
            return False
        self._logged[about] = text, now
        return True

    def reset(self, about: str) -> None:
        """It has succeeded: its next failure is logged."""
        self._logged.pop(about, None)
