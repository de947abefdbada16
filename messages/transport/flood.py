"""Throttles log lines that clients or an outage can cause as often as they like, so that they do not flood the log."""

import math
import time

AGAIN_AFTER_SECONDS = 10.0


class Flood:
    """Lets one line of each kind through in a while, and counts the others."""

    def __init__(self) -> None:
        self._logged_at: dict[tuple[object, ...], float] = {}
        self._suppressed: dict[tuple[object, ...], int] = {}

    def suppressed(self, *kind: object) -> int | None:
        """None: do not log it. Otherwise log it, with this number of lines left out before. Kinds must be few."""
        now = time.monotonic()
        if now - self._logged_at.get(kind, -math.inf) < AGAIN_AFTER_SECONDS:
            self._suppressed[kind] = self._suppressed.get(kind, 0) + 1
            return None
        self._logged_at[kind] = now
        return self._suppressed.pop(kind, 0)
