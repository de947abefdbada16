"""What strangers can bring about as often as they like must not wash the rest out of the log."""

import math
import time

AGAIN_AFTER_SECONDS = 10.0


class Flood:
    """Lets one line of each kind through in a while, and counts the others."""

    def __init__(self) -> None:
        self._told_at: dict[tuple[object, ...], float] = {}
        self._untold: dict[tuple[object, ...], int] = {}

    def untold(self, *kind: object) -> int | None:
        """None: leave it out. Otherwise tell of it, and that so many were left out before. Kinds must be few."""
        now = time.monotonic()
        if now - self._told_at.get(kind, -math.inf) < AGAIN_AFTER_SECONDS:
            self._untold[kind] = self._untold.get(kind, 0) + 1
            return None
        self._told_at[kind] = now
        return self._untold.pop(kind, 0)
