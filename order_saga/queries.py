"""The queries of the order saga to its own database: one typed function each."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from asyncpg import Record

from messages.transport.database.transactions import Transaction
from messages.transport.database.writing import Write
from messages.transport.service import Measure
from order_saga.rows import READ, TABLE, saga_of
from order_saga.state import Saga


async def read(tx: Transaction, order_ids: Collection[UUID]) -> tuple[datetime, dict[UUID, Saga]]:
    """The clock, and the sagas of these orders as far as they exist, without their content.

    In a transaction they are locked, always in the same order, so that transactions do not deadlock.
    """
    lock = "ORDER BY order_id FOR UPDATE" if tx.is_in_transaction() else ""
    rows = await tx.fetch(
        f"""WITH found AS MATERIALIZED (SELECT {READ} FROM saga WHERE order_id = ANY ($1::uuid[]) {lock})
            SELECT clock_timestamp() AS now, found.* FROM (SELECT) AS at_least_the_clock LEFT JOIN found ON true""",  # noqa: S608
        list(order_ids),
    )
    return rows[-1]["now"], {row["order_id"]: saga_of(row) for row in rows if row["order_id"] is not None}


def write(changes: Sequence[tuple[Saga | None, Saga]]) -> list[Write]:
    """Create sagas that were not there before, and write what has changed in the others."""
    new = [after for before, after in changes if before is None]
    return TABLE.insert(new) + TABLE.update((before, after) for before, after in changes if before is not None)


class Due(StrEnum):
    """The condition on sagas whose due time has come."""

    OVERDUE = "outcome IS NULL AND deadline <= statement_timestamp()"
    UNANSWERED = "outcome IS NULL"
    UNCLEAN = "outcome = 'not_placed' AND cleaned_at IS NULL"
    """Not yet released by every participant."""


def is_any_due(which: Due) -> str:
    """SQL of a boolean, for `Job.due`."""
    return f"EXISTS (SELECT FROM saga WHERE {which} AND due_at <= statement_timestamp())"


async def lock_due(tx: Transaction, which: Due, limit: int) -> list[Record]:
    """The rows of these sagas in order of due time, each with the clock as it was after the locks as `now`.

    Skips those locked by others. `saga_of` may fail on a row.
    """
    return await tx.fetch(
        f"""WITH due AS MATERIALIZED (
                SELECT {READ}, request FROM saga
                 WHERE {which} AND due_at <= statement_timestamp()
                 ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
            SELECT clock_timestamp() AS now, * FROM due""",  # noqa: S608  our own SQL
        limit,
    )


async def postpone(tx: Transaction, wait: timedelta, order_id: UUID) -> None:
    """Look at the order again only after `wait`."""
    await tx.execute(
        "UPDATE saga SET version = version + 1, due_at = clock_timestamp() + $2::interval WHERE order_id = $1",
        order_id,
        wait,
    )


async def capacity(tx: Transaction, undecided_limit: int) -> int:
    """How many more orders may be undecided; never below 0, because counting stops at the limit."""
    left: int = await tx.fetchval(
        "SELECT $1 - count(*) FROM (SELECT FROM saga WHERE outcome IS NULL ORDER BY due_at LIMIT $1) AS undecided",
        undecided_limit,
    )
    return left


_SINCE = (
    "SELECT coalesce(greatest(extract(epoch FROM clock_timestamp() - min({})), 0), 0) FROM saga WHERE outcome IS NULL"
)
MEASURES = (
    Measure("undecided_orders", "Orders accepted, but not decided.", "SELECT count(*) FROM saga WHERE outcome IS NULL"),
    Measure("undecided_oldest_seconds", "Age of the oldest undecided order.", _SINCE.format("accepted_at")),
    Measure(
        "undecided_overdue_seconds",
        "How long ago the earliest deadline of an undecided order passed.",
        _SINCE.format("deadline"),
    ),
)


async def lock_done(tx: Transaction, age: timedelta, after: Record | None, limit: int) -> list[Record]:
    """The rows of orders that have been done for `age` and still have their content, the longest decided first.

    Starts behind the row `after`. Skips those locked by others.
    """
    decided_at, order_id = (after["decided_at"], after["order_id"]) if after is not None else (None, UUID(int=0))
    return await tx.fetch(
        """SELECT order_id, decided_at, traceparent FROM saga
            WHERE request IS NOT NULL AND decided_at < statement_timestamp() - $1::interval
              AND (outcome = 'placed' OR cleaned_at < statement_timestamp() - $1::interval)
              AND (decided_at, order_id) > (coalesce($2::timestamptz, '-infinity'), $3::uuid)
            ORDER BY decided_at, order_id LIMIT $4 FOR UPDATE SKIP LOCKED""",
        age,
        decided_at,
        order_id,
        limit,
    )


async def forget_requests(tx: Transaction, order_ids: Collection[UUID]) -> None:
    await tx.execute(
        "UPDATE saga SET version = version + 1, request = NULL, traceparent = NULL WHERE order_id = ANY ($1::uuid[])",
        order_ids,
    )
