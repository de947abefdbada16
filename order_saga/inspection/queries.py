"""All queries of the inspection: they read the published views into rows, grouped by order."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from uuid import UUID

from messages.contracts.views import Order, Parked, Received, TimelineRow
from messages.transport.command_line.reading import PublishedViews
from messages.transport.parked import OURS
from order_saga.inspection.evidence import CLOCKS_APART, Share
from order_saga.inspection.rows import order_of, share_of
from order_saga.participants import Participant
from order_saga.timeline import OUTCOME_TOLD

ORDER = """order_id, phase, outcome, participant, reason, store_id, zone, lines::text, granted::text,
           accepted_at, deadline, decided_at, cleaned_at"""

PARKED = "message_id, type, order_id, queue, reason, detail, parked_at, from_outside"

TOLD = f"""
    SELECT order_id, array_agg(DISTINCT detail) AS told
    FROM published.timeline
    WHERE event = '{OUTCOME_TOLD}' AND ($1::uuid[] IS NULL OR order_ids && $1 AND order_id = ANY ($1))
    GROUP BY order_id
"""  # noqa: S608  our own SQL
"""Every outcome that was published to customers, repeated ones too. `&&`: batches about other orders stay unread."""


async def clock(reader: PublishedViews) -> datetime:
    now: datetime = await reader.value("SELECT clock_timestamp()")
    return now


async def orders(reader: PublishedViews, only: Sequence[UUID] | None = None) -> AsyncIterator[tuple[UUID, Order]]:
    """All orders, or these, in the order of their ids."""
    rows = reader.stream(
        f"""
        SELECT {ORDER}, told FROM published.orders LEFT JOIN ({TOLD}) AS told USING (order_id)
        WHERE $1::uuid[] IS NULL OR order_id = ANY ($1)
        ORDER BY order_id
        """,  # noqa: S608  our own SQL
        only,
    )
    async for row in rows:
        yield row["order_id"], order_of(row, row["told"] or ())


async def order(reader: PublishedViews, order_id: UUID) -> Order | None:
    rows = await reader.rows(f"SELECT {ORDER} FROM published.orders WHERE order_id = $1", order_id)  # noqa: S608
    return order_of(rows[0]) if rows else None


async def shares(
    reader: PublishedViews, participant: Participant, only: Sequence[UUID] | None = None
) -> AsyncIterator[tuple[UUID, Share]]:
    """What a participant has for each order, or for these, in the order of their ids."""
    rows = reader.stream(
        """
        SELECT order_id, state, reason, unit_ids, expires_at, changed_at, carried, places, kinds, states
        FROM (
            SELECT * FROM published.holdings WHERE $1::uuid[] IS NULL OR order_id = ANY ($1)
        ) AS holding FULL JOIN (
            SELECT order_id, array_agg(unit_id) AS carried, array_agg(place) AS places, array_agg(kind) AS kinds,
                array_agg(state) AS states
            FROM published.stock WHERE order_id IS NOT NULL AND ($1::uuid[] IS NULL OR order_id = ANY ($1))
            GROUP BY order_id
        ) AS stock USING (order_id)
        ORDER BY order_id
        """,
        only,
    )
    async for row in rows:
        yield row["order_id"], share_of(participant, row)


async def share(reader: PublishedViews, participant: Participant, order_id: UUID) -> Share:
    found = [each async for _, each in shares(reader, participant, [order_id])]
    return found[0] if found else Share(participant)


async def holders(reader: PublishedViews, unit_ids: Collection[str]) -> dict[str, UUID | None]:
    """Which order has each of these units by its own row; None: no order, or there is no such row."""
    rows = await reader.rows("SELECT unit_id, order_id FROM published.stock WHERE unit_id = ANY ($1)", list(unit_ids))
    return dict.fromkeys(unit_ids) | {row["unit_id"]: row["order_id"] for row in rows}


async def stock(reader: PublishedViews) -> list[tuple[Received, int]]:
    """What was received of each kind in each place, and how many units there are; empty if nothing is counted."""
    if await reader.value("SELECT to_regclass('published.received') IS NULL"):
        return []
    rows = await reader.rows(
        """
        SELECT place, kind, coalesce(received, 0), coalesce(present, 0)
        FROM published.received FULL JOIN (
            SELECT place, kind, count(*) AS present FROM published.stock GROUP BY place, kind
        ) AS stock USING (place, kind)
        """
    )
    return [(Received(*row[:3]), row[3]) for row in rows]


async def parked_by_us(reader: PublishedViews, most: int) -> list[Parked]:
    """What is parked through our own fault; the oldest first."""
    query = f"SELECT {PARKED} FROM published.parked WHERE {OURS} ORDER BY parked_at LIMIT $1"  # noqa: S608
    return [Parked(**row) for row in await reader.rows(query, most)]


async def parked_by_others(reader: PublishedViews) -> int:
    """How many documents are parked that `parked_by_us` leaves out."""
    number: int = await reader.value(f"SELECT count(*) FROM published.parked WHERE NOT ({OURS})")  # noqa: S608
    return number


async def parked_about(reader: PublishedViews, order_id: UUID) -> list[Parked]:
    rows = await reader.rows(
        f"SELECT {PARKED} FROM published.parked WHERE order_id = $1 ORDER BY parked_at",  # noqa: S608
        order_id,
    )
    return [Parked(**row) for row in rows]


async def unpublished(reader: PublishedViews, overdue_seconds: float | None) -> int:
    """Envelopes that have been in the outbox for so long, or by their time are still to come there; None: all."""
    number: int = await reader.value(
        """
        SELECT count(*) FROM published.outbox
        WHERE $1::float8 IS NULL
            OR kept_at NOT BETWEEN statement_timestamp() - make_interval(secs => $1) AND statement_timestamp() + $2
        """,
        overdue_seconds,
        CLOCKS_APART,
    )
    return number


async def timeline(reader: PublishedViews, order_id: UUID, since: datetime, until: datetime) -> list[TimelineRow]:
    """What one service noted about an order, in no order but that within a batch, which a sort here would not keep.

    Bounded in time, because the index is BRIN on `at`.
    """
    rows = await reader.rows(
        """
        SELECT order_id, at, event, detail, message_id FROM published.timeline
        WHERE $1 = ANY (order_ids) AND order_id = $1 AND at BETWEEN $2 AND $3
        """,
        order_id,
        since,
        until,
    )
    return [TimelineRow(**row) for row in rows]
