"""A cache of the rows this process wrote last, and of the database's clock, so that most batches need no read.

Nothing relies on the cache alone: what is decided from it is checked against the rows' versions by the same write.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeAlias, TypeVar
from uuid import UUID

from messages.transport.database.lock_mode import LockMode
from messages.transport.database.versioned import Row, Table
from messages.transport.database.writing import Write

R = TypeVar("R", bound=Row)

REMEMBERED = 5_000
"""Rows, of about 2 kB each. More than there are undecided orders, because a row is used until its order is done."""
MOST_UNITS = 100
"""Of a row that is cached. Larger ones are not: thousands of ids in each of thousands of rows would not fit."""
TRUSTED_SECONDS = 1.0
"""How long the clock may be extrapolated: the local clock drifts by less than a millisecond in that time."""
PUNCTUAL_SECONDS = 0.1
"""A reply that took longer says too little about the time."""

Read: TypeAlias = Callable[[Collection[UUID]], Awaitable[tuple[datetime, dict[UUID, R]]]]
"""Order ids -> the database's clock, and the rows that exist."""


class Clock:
    """Estimates the database's clock. It lags by the reply's travel time, so that no lease begins too late."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.monotonic = monotonic
        self._seen: tuple[datetime, float] | None = None

    def set(self, now: datetime, asked_at: float) -> None:
        """`asked_at`: by `monotonic`, when the statement was sent that returned `now`."""
        answered_at = self.monotonic()
        if answered_at - asked_at < PUNCTUAL_SECONDS:
            self._seen = now, answered_at

    def clear(self) -> None:
        self._seen = None

    def now(self) -> datetime | None:
        """None: the last reply is too old."""
        if self._seen is None:
            return None
        seen, at = self._seen
        passed = self.monotonic() - at
        return seen + timedelta(seconds=passed) if passed < TRUSTED_SECONDS else None


@dataclass(frozen=True, slots=True)
class Loaded(Generic[R]):
    """What a batch is decided from."""

    now: datetime
    rows: Mapping[UUID, R]
    unverified: AbstractSet[UUID]
    """Orders that were not read: those in `rows` come from the cache, the others are assumed to be new."""


class RowCache(Generic[R]):
    """Caches the rows of one table, as this process wrote them last."""

    def __init__(self, table: Table) -> None:
        self.clock = Clock()
        self._table = table
        # To find its oldest entry, a dict passes over all that were deleted before: tens of microseconds an order.
        self._rows: OrderedDict[UUID, R] = OrderedDict()

    async def load(
        self, lock_mode: LockMode, order_ids: AbstractSet[UUID], new: AbstractSet[UUID], read: Read[R]
    ) -> Loaded[R]:
        """Use the cache as far as `lock_mode` allows; read the rest. `new`: orders that probably have no row yet."""
        rows = {order_id: row for order_id in order_ids if (row := self._rows.pop(order_id, None))}
        if lock_mode is not LockMode.OPTIMISTIC:
            rows, new = {}, set()
        now = self.clock.now()
        if now and rows.keys() | new >= order_ids:
            return Loaded(now, rows, order_ids)
        asked_at = self.clock.monotonic()
        now, found = await read(order_ids - rows.keys())
        self.clock.set(now, asked_at)
        return Loaded(now, rows | found, rows.keys())

    def guards(self, known: Loaded[R], written: AbstractSet[UUID]) -> list[Write]:
        """Guards for unread orders not written: they fail if a cached row changed, or an order assumed new has one."""
        silent = known.unverified - written
        if not silent:
            return []
        rows = [known.rows[order_id] for order_id in silent if order_id in known.rows]
        return self._table.unchanged(rows) + self._table.absent(silent - known.rows.keys())

    def put(self, changes: Iterable[tuple[R | None, R]]) -> None:
        """Cache what has been written: each row as it was, None if there was none, and as it is."""
        for before, after in changes:
            version = 0 if before is None else before.version + 1
            self._rows[after.order_id] = after if after.version == version else after._replace(version=version)
        while len(self._rows) > REMEMBERED:
            self._rows.popitem(last=False)

    def clear(self) -> None:
        self._rows.clear()
        self.clock.clear()
