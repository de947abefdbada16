"""Every SQL statement about reservations."""

import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from messages.participant.reservation import Reservation, State
from messages.transport.postgres import Collision
from messages.transport.service import Transaction

COLUMNS = """order_id, state, reason, unit_ids, expires_at, not_after, assigned_at, completed, inquiries,
    due_at, forget_at, traceparent"""


class Change(NamedTuple):
    """A reservation as it was read, and as it is to be written."""

    before: Reservation
    after: Reservation


async def read(tx: Transaction, order_ids: Iterable[UUID]) -> tuple[datetime, dict[UUID, Reservation]]:
    """The clock, and the reservations that exist. Their rows have been locked by an earlier statement."""
    rows = await tx.fetch(
        f"""
        SELECT clock_timestamp(), {COLUMNS},
            CASE state WHEN 'reserved' THEN (SELECT min(reason) FROM unfit WHERE unfit.order_id = r.order_id) END
        FROM (SELECT) AS always LEFT JOIN reservation AS r ON r.order_id = ANY ($1::uuid[])
        """,  # noqa: S608  our own column names
        list(order_ids),
    )
    return rows[0][0], {row[1]: _reservation(row) for row in rows if row[1] is not None}


async def write(tx: Transaction, changes: Sequence[Change]) -> None:
    """Write what has changed. Raises Collision where a row is no longer as it was read, or exists by now."""
    written = await tx.fetchval(
        """
        WITH change AS MATERIALIZED (
            SELECT * FROM unnest(
                $1::uuid[], $2::text[], $3::boolean[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
                $8::timestamptz[], $9::timestamptz[], $10::boolean[], $11::smallint[], $12::timestamptz[],
                $13::timestamptz[], $14::text[]
            ) AS change (
                order_id, old_state, old_completed, state, reason, unit_ids, expires_at,
                not_after, assigned_at, completed, inquiries, due_at,
                forget_at, traceparent
            )
        ), inserted AS (
            INSERT INTO reservation (order_id, state, reason, unit_ids, expires_at, not_after, assigned_at,
                completed, inquiries, due_at, forget_at, traceparent, changed_at)
            SELECT order_id, state, reason, string_to_array(unit_ids, ','), expires_at, not_after, assigned_at,
                completed, inquiries, due_at, forget_at, traceparent, clock_timestamp()
            FROM change WHERE old_state = 'absent' ORDER BY order_id
            ON CONFLICT DO NOTHING
            RETURNING order_id
        ), updated AS (
            UPDATE reservation AS r
            SET state = change.state, reason = change.reason, unit_ids = string_to_array(change.unit_ids, ','),
                not_after = change.not_after, assigned_at = change.assigned_at, completed = change.completed,
                inquiries = change.inquiries, due_at = change.due_at, forget_at = change.forget_at,
                changed_at = clock_timestamp()
            FROM change
            WHERE r.order_id = change.order_id AND r.state = change.old_state AND r.completed = change.old_completed
            RETURNING r.order_id
        )
        SELECT (SELECT count(*) FROM inserted) + (SELECT count(*) FROM updated)
        """,
        *zip(*map(_parameters, changes), strict=True),
    )
    if written != len(changes):
        raise Collision(f"{len(changes) - written} of {len(changes)} reservations have changed since they were read")


async def take_due(tx: Transaction, limit: int) -> list[tuple[datetime, Reservation]]:
    """Lock reservations that are due, the longest due first, each with the clock as it was once it was locked."""
    rows = await tx.fetch(
        f"""
        WITH due AS MATERIALIZED (
            SELECT {COLUMNS} FROM reservation WHERE due_at <= statement_timestamp()
            ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        SELECT clock_timestamp(), due.*, NULL FROM due
        """,  # noqa: S608  our own column names
        limit,
    )
    return [(row[0], _reservation(row)) for row in rows]


async def postpone(tx: Transaction, order_id: UUID, seconds: float) -> None:
    """Keep a reservation that nothing can be done about out of the sweeper's way for a while."""
    await tx.execute(
        "UPDATE reservation SET due_at = clock_timestamp() + make_interval(secs => $2) WHERE order_id = $1",
        order_id,
        seconds,
    )


async def prune(tx: Transaction, limit: int) -> list[tuple[State, Sequence[str]]]:
    """Delete reservations that may be forgotten; what they were."""
    rows = await tx.fetch(
        """
        WITH old AS MATERIALIZED (
            SELECT order_id FROM reservation WHERE forget_at <= statement_timestamp()
            ORDER BY forget_at LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        DELETE FROM reservation USING old WHERE reservation.order_id = old.order_id
        RETURNING state, unit_ids
        """,
        limit,
    )
    return [(State(row["state"]), row["unit_ids"]) for row in rows]


@contextlib.asynccontextmanager
async def attempt(tx: Transaction) -> AsyncIterator[None]:
    """Undo what is done within if it raises, and only that."""
    await tx.execute("SAVEPOINT attempt")
    try:
        yield
    except BaseException:
        if not tx.is_closed():
            await tx.execute("ROLLBACK TO SAVEPOINT attempt; RELEASE SAVEPOINT attempt")
        raise
    await tx.execute("RELEASE SAVEPOINT attempt")


def _reservation(row: Any) -> Reservation:
    _, order_id, state, reason, unit_ids, *rest = row
    return Reservation(order_id, State(state), reason, tuple(unit_ids), *rest)


def _parameters(change: Change) -> tuple[Any, ...]:
    before, after = change
    return (
        after.order_id,
        before.state,
        before.completed,
        after.state,
        after.reason,
        ",".join(after.unit_ids),  # no identifier contains a comma
        after.expires_at,
        after.not_after,
        after.assigned_at,
        after.completed,
        after.inquiries,
        after.due_at,
        after.forget_at,
        after.traceparent,
    )
