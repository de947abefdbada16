"""With how much locking a batch is tried: optimistically first, and with locks after a collision."""

from enum import IntEnum

SKIPPED_BATCHES = 50
"""After a collision, this many batches are locked from the start. Where several daemons take turns, nearly all are."""


class LockMode(IntEnum):
    """Concurrency control of a batch."""

    OPTIMISTIC = 0
    """Rows come from this process's cache; those that are not in it are read. Nothing is locked."""
    PESSIMISTIC = 1
    """Rows are read and written in a transaction that holds their locks."""
    BLOCKING = 2
    """As before, and the handler waits for units that other transactions have locked: only for `look_again`."""


class CollisionHistory:
    """Whether an optimistic batch collided lately, so that none is tried for a while."""

    def __init__(self) -> None:
        self._skipped = 0

    def least_strict(self) -> LockMode:
        """What to try for the next batch."""
        if not self._skipped:
            return LockMode.OPTIMISTIC
        self._skipped -= 1
        return LockMode.PESSIMISTIC

    def collided(self, lock_mode: LockMode) -> None:
        if lock_mode is LockMode.OPTIMISTIC:
            self._skipped = SKIPPED_BATCHES
