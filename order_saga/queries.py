"""Every SQL statement of the order saga: one typed function each."""

from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

from messages.transport.postgres import Collision
from messages.transport.service import Transaction
from order_saga.rows import granted_text, saga_of, standing_text
from order_saga.state import Saga

COLUMNS = """order_id, phase, standing, granted, participant, reason, deadline, asked_at, due_at, repeats,
             accepted_at, decided_at, cleaned_at, fingerprint, traceparent, version"""


async def read(tx: Transaction, order_ids: Collection[UUID]) -> tuple[datetime, dict[UUID, Saga]]:
    """The clock, and the sagas of these orders as far as they exist; without what they are about."""
    rows = await tx.fetch(
        f"""SELECT clock_timestamp() AS now, {COLUMNS}
              FROM (SELECT) AS at_least_the_clock LEFT JOIN saga ON order_id = ANY ($1::uuid[])""",  # noqa: S608
        list(order_ids),
    )
    return rows[0]["now"], {row["order_id"]: saga_of(row) for row in rows if row["order_id"] is not None}


async def insert(tx: Transaction, sagas: Iterable[Saga]) -> None:
    """Create the rows. Raises Collision if one has come into being since it was looked for."""
    rows = [
        (
            saga.order_id, saga.phase, saga.outcome, standing_text(saga.standing), granted_text(saga.granted),
            saga.participant, saga.reason, saga.deadline, saga.asked_at, saga.due_at, saga.repeats,
            saga.accepted_at, saga.decided_at, saga.cleaned_at, saga.fingerprint, saga.traceparent, saga.request,
        )
        for saga in sorted(sagas, key=lambda saga: saga.order_id.int)
    ]  # fmt: skip
    status = await tx.execute(
        """INSERT INTO saga (order_id, phase, outcome, standing, granted, participant, reason, deadline, asked_at,
                             due_at, repeats, accepted_at, decided_at, cleaned_at, fingerprint, traceparent, request)
           SELECT * FROM unnest(
               $1::uuid[], $2::text[], $3::text[], $4::jsonb[], $5::jsonb[], $6::text[], $7::text[],
               $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::integer[], $12::timestamptz[],
               $13::timestamptz[], $14::timestamptz[], $15::bytea[], $16::text[], $17::json[])
           ON CONFLICT DO NOTHING""",
        *zip(*rows, strict=True),
    )
    _expect(len(rows), status)


async def update(tx: Transaction, sagas: Iterable[Saga]) -> None:
    """Write what can change. Raises Collision if a row is no longer the one that was read."""
    rows = [
        (
            saga.order_id, saga.version, saga.phase, saga.outcome, standing_text(saga.standing),
            granted_text(saga.granted), saga.participant, saga.reason, saga.asked_at, saga.due_at, saga.repeats,
            saga.decided_at, saga.cleaned_at,
        )
        for saga in sagas
    ]  # fmt: skip
    status = await tx.execute(
        """UPDATE saga
              SET version = saga.version + 1, phase = new.phase, outcome = new.outcome, standing = new.standing,
                  granted = new.granted, participant = new.participant, reason = new.reason,
                  asked_at = new.asked_at, due_at = new.due_at, repeats = new.repeats,
                  decided_at = new.decided_at, cleaned_at = new.cleaned_at
             FROM unnest(
                      $1::uuid[], $2::integer[], $3::text[], $4::text[], $5::jsonb[], $6::jsonb[], $7::text[],
                      $8::text[], $9::timestamptz[], $10::timestamptz[], $11::integer[], $12::timestamptz[],
                      $13::timestamptz[])
                  AS new (order_id, version, phase, outcome, standing, granted, participant, reason, asked_at,
                          due_at, repeats, decided_at, cleaned_at)
            WHERE saga.order_id = new.order_id AND saga.version = new.version""",
        *zip(*rows, strict=True),
    )
    _expect(len(rows), status)


async def lock_overdue(tx: Transaction, limit: int) -> tuple[datetime | None, list[Saga]]:
    """The clock, and undecided sagas whose deadline has passed, locked."""
    return await _lock(tx, "outcome IS NULL AND deadline <= statement_timestamp()", limit)


async def lock_unanswered(tx: Transaction, limit: int) -> tuple[datetime | None, list[Saga]]:
    """The clock, and undecided sagas that are due, locked."""
    return await _lock(tx, "outcome IS NULL", limit)


async def lock_unclean(tx: Transaction, limit: int) -> tuple[datetime | None, list[Saga]]:
    """The clock, and not placed sagas that are due and not yet released by everybody, locked."""
    return await _lock(tx, "outcome = 'not_placed' AND cleaned_at IS NULL", limit)


async def _lock(tx: Transaction, which: str, limit: int) -> tuple[datetime | None, list[Saga]]:
    """In order of due time; what somebody else holds is left to them. The clock is read after the locks."""
    rows = await tx.fetch(
        f"""WITH due AS MATERIALIZED (
                SELECT {COLUMNS}, request FROM saga
                 WHERE {which} AND due_at <= statement_timestamp()
                 ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
            SELECT clock_timestamp() AS now, * FROM due""",  # noqa: S608  the condition is one of three above
        limit,
    )
    return rows[0]["now"] if rows else None, [saga_of(row, row["request"]) for row in rows]


@asynccontextmanager
async def all_or_nothing(tx: Transaction) -> AsyncIterator[None]:
    """Undo what was written in the block if it raises, and leave the transaction fit for more."""
    await tx.execute("SAVEPOINT all_or_nothing")
    try:
        yield
    except Exception:
        await tx.execute("ROLLBACK TO all_or_nothing")
        raise
    await tx.execute("RELEASE all_or_nothing")


async def postpone(tx: Transaction, order_id: UUID, wait: timedelta) -> None:
    """Look at the order again only after `wait`."""
    await tx.execute(
        "UPDATE saga SET version = version + 1, due_at = clock_timestamp() + $2::interval WHERE order_id = $1",
        order_id,
        wait,
    )


async def count_undecided(tx: Transaction, limit: int) -> int:
    """How many orders are in the works; counting stops at `limit`."""
    count: int = await tx.fetchval(
        "SELECT count(*) FROM (SELECT FROM saga WHERE outcome IS NULL ORDER BY due_at LIMIT $1) AS undecided", limit
    )
    return count


async def forget_requests(tx: Transaction, age: timedelta, limit: int) -> int:
    """Drop what orders were about that have been done for `age`; how many were found, at most `limit`."""
    status = await tx.execute(
        """WITH old AS MATERIALIZED (
               SELECT order_id FROM saga
                WHERE request IS NOT NULL AND decided_at < statement_timestamp() - $1::interval
                  AND (outcome = 'placed' OR cleaned_at < statement_timestamp() - $1::interval)
                ORDER BY decided_at LIMIT $2 FOR UPDATE SKIP LOCKED)
           UPDATE saga SET version = version + 1, request = NULL, traceparent = NULL
             FROM old WHERE saga.order_id = old.order_id""",
        age,
        limit,
    )
    return _count(status)


def _expect(number: int, status: str) -> None:
    if _count(status) != number:
        raise Collision(f"{status}, where {number} rows were meant")


def _count(status: str) -> int:
    """`UPDATE 12` -> 12."""
    return int(status.rpartition(" ")[2])
