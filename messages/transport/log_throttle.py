"""Throttles log lines that clients or an outage can cause as often as they like, so that they do not flood the log."""

import math
import time

KIND_AGAIN_AFTER_SECONDS = 10.0
FAILURE_AGAIN_AFTER_SECONDS = 30.0


class KindThrottle:
    """For lines that say much the same: lets one of each kind through in a while, and counts the others."""

    def __init__(self) -> None:
        self._logged_at: dict[tuple[object, ...], float] = {}
        self._suppressed: dict[tuple[object, ...], int] = {}

    def suppressed(self, *kind: object) -> int | None:
        """None: do not log it. Otherwise log it, with this number of lines left out before. Kinds must be few."""
        now = time.monotonic()
        if now - self._logged_at.get(kind, -math.inf) < KIND_AGAIN_AFTER_SECONDS:
            self._suppressed[kind] = self._suppressed.get(kind, 0) + 1
            return None
        self._logged_at[kind] = now
        return self._suppressed.pop(kind, 0)


class FailureThrottle:
    """For what fails again and again until it succeeds: lets each failure through, and the same again in a while."""

    def __init__(self) -> None:
        self._logged_at: dict[str, dict[str, float]] = {}

    def should_log(self, about: str, error: Exception) -> bool:
        """Whether to log it: for the first time, or again after a while. True counts as logged."""
        now, text = time.monotonic(), f"{type(error).__name__}: {error}"
        # A server that restarts over and over fails in several ways by turns.
        recent = {
            each: at for each, at in self._logged_at.get(about, {}).items() if now - at < FAILURE_AGAIN_AFTER_SECONDS
        }
        if text in recent:
            return False
        self._logged_at[about] = recent | {text: now}
        return True

    def reset(self, about: str) -> None:
        """It has succeeded: its next failure is logged."""
        self._logged_at.pop(about, None)
