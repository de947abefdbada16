"""The queries about reservations. Those that start from units are in the worker's own `queries.py`."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID

from asyncpg import Record

from messages.participant.reservation import Reservation, State
from messages.participant.rows import READ, TABLE, reservation_of
from messages.transport.database.transactions import Transaction
from messages.transport.database.writing import Write
from messages.transport.faults import Collision, TooMuchAtOnce

IS_ANY_DUE = "EXISTS (SELECT FROM reservation WHERE due_at <= statement_timestamp())"

Change: TypeAlias = tuple[Reservation | None, Reservation]
"""A reservation as it was read, None if it was absent, and as it is to be written."""


async def read(
    tx: Transaction, most_units: int | None, order_ids: Iterable[UUID]
) -> tuple[datetime, dict[UUID, Reservation]]:
    """The clock, and the reservations that exist. From `PESSIMISTIC` on, an earlier statement has locked their rows.

    Raises TooMuchAtOnce, and reads none of them, if they hold more than `most_units` together.
    """
    rows = await tx.fetch(
        f"""
        SELECT clock_timestamp(), {READ},
            CASE WHEN state IN ('reserved', 'assigned') THEN
                (SELECT min(reason) FROM unfit WHERE unfit.order_id = r.order_id)
            END,
            too_many
        FROM (
            SELECT coalesce(sum(cardinality(unit_ids)) > $2::bigint, false) AS too_many
            FROM reservation WHERE order_id = ANY ($1::uuid[])
        ) AS always LEFT JOIN reservation AS r ON r.order_id = ANY ($1::uuid[]) AND NOT too_many
        """,  # noqa: S608  our own column names
        list(order_ids),
        most_units,
    )
    if rows[0]["too_many"]:
        raise TooMuchAtOnce(f"orders that hold more than {most_units} units")
    return rows[0][0], {row[1]: reservation_of(row[:-1]) for row in rows if row[1] is not None}


def write(changes: Sequence[Change]) -> list[Write]:
    """Create reservations that were absent, and write what has changed in the others."""
    new = [after for before, after in changes if before is None]
    known = [(before, after) for before, after in changes if before is not None]
    writes = TABLE.insert(new) + TABLE.update(known)
    # The write fails if the earliest lease being assigned has run out by then.
    ends = [after.expires_at for before, after in known if _is_assigned_now(before, after) and after.expires_at]
    return [writes[0]._replace(before=min(ends)), *writes[1:]] if ends else writes


def _is_assigned_now(before: Reservation, after: Reservation) -> bool:
    return before.state is State.RESERVED and after.state is State.ASSIGNED


def unit_lock(tx: Transaction, *, waiting: bool) -> str:
    """The lock clause. Outside a transaction a lock would be gone at once: then the write detects the conflict."""
    if not tx.is_in_transaction():
        return ""
    return "FOR UPDATE" if waiting else "FOR UPDATE SKIP LOCKED"


async def lock_reservations(tx: Transaction, holders: str, unit_ids: Sequence[str]) -> set[UUID]:
    """Lock the reservations holding these units and bump their versions, so that none is assigned meanwhile.

    The new version makes decisions from a cached or earlier read row fail. `holders`: SQL of those orders' ids, given
    the units' ids.
    """
    rows = await tx.fetch(
        f"""
        WITH held AS MATERIALIZED (
            SELECT order_id FROM reservation WHERE order_id IN ({holders}) ORDER BY order_id FOR UPDATE
        )
        UPDATE reservation SET version = version + 1 FROM held WHERE reservation.order_id = held.order_id
        RETURNING reservation.order_id
        """,  # noqa: S608  our own SQL
        unit_ids,
    )
    return {row["order_id"] for row in rows}


async def expect_no_reservations(tx: Transaction, order_ids: AbstractSet[UUID]) -> None:
    """Raises Collision if one of these orders, which hold units but had no reservation to lock, has one now.

    It is a later statement than those that waited for the units, and so sees which orders had taken them.
    """
    if order_ids and await tx.fetchval("SELECT count(*) FROM reservation WHERE order_id = ANY ($1)", list(order_ids)):
        raise Collision("a unit was reserved while it was being withdrawn")


async def lock_due(tx: Transaction, limit: int) -> list[Record]:
    """Lock reservations that are due, the longest due first, each with the clock as it was after the lock.

    `reservation_of` may fail on a row.
    """
    return await tx.fetch(
        f"""
        WITH due AS MATERIALIZED (
            SELECT {READ} FROM reservation WHERE due_at <= statement_timestamp()
            ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        SELECT clock_timestamp(), due.*, NULL FROM due
        """,  # noqa: S608  our own column names
        limit,
    )


async def postpone(tx: Transaction, wait: timedelta, order_id: UUID) -> None:
    """Look at the reservation again only after `wait`."""
    await tx.execute(
        "UPDATE reservation SET version = version + 1, due_at = clock_timestamp() + $2::interval WHERE order_id = $1",
        order_id,
        wait,
    )


async def prune(tx: Transaction, limit: int, units: int) -> list[Record]:
    """Delete reservations whose `forget_at` has come, with about `units` units at most; return `state`, `unit_ids`."""
    return await tx.fetch(
        """
        WITH old AS MATERIALIZED (
            SELECT order_id, forget_at, cardinality(unit_ids) AS units
            FROM reservation WHERE forget_at <= statement_timestamp()
            ORDER BY forget_at LIMIT $1 FOR UPDATE SKIP LOCKED
        ), few AS MATERIALIZED (
            SELECT order_id FROM (
                SELECT order_id, sum(units) OVER (ORDER BY forget_at, order_id) - units AS before FROM old
            ) AS counted WHERE before < $2
        )
        DELETE FROM reservation USING few WHERE reservation.order_id = few.order_id
        RETURNING state, unit_ids
        """,
        limit,
        units,
    )
