"""With how much locking a batch is tried: optimistically first, and stricter after each collision."""

from enum import IntEnum

SKIPPED_BATCHES = 50
"""After a collision, that level is skipped for this many batches, retries counted.

Where several daemons take turns, it is skipped nearly always.
"""


class LockMode(IntEnum):
    """Concurrency control of a batch. Each retry goes one level up, to `PESSIMISTIC` at most."""

    CACHED = 0
    """Rows come from this process's cache; those that are not in it are read."""
    OPTIMISTIC = 1
    """All rows are read, without locks."""
    PESSIMISTIC = 2
    """Rows are read and written in a transaction that holds their locks."""
    BLOCKING = 3
    """As before, and the handler waits for units that other transactions have locked."""

    def stricter(self) -> "LockMode":
        """The next stricter level. Never `BLOCKING`, which is only for `look_again`."""
        return self if self >= LockMode.PESSIMISTIC else LockMode(self + 1)


class CollisionHistory:
    """Which optimistic levels collided lately, so that they are skipped for a while."""

    def __init__(self) -> None:
        self._skipped = {LockMode.CACHED: 0, LockMode.OPTIMISTIC: 0}

    def least_strict(self) -> LockMode:
        """The lowest level to try for the next batch."""
        least = LockMode.PESSIMISTIC
        for lock_mode, batches in reversed(self._skipped.items()):
            if not batches:
                least = lock_mode
            else:
                self._skipped[lock_mode] = batches - 1
        return least

    def collided(self, lock_mode: LockMode) -> None:
        if lock_mode in self._skipped:
            self._skipped[lock_mode] = SKIPPED_BATCHES
