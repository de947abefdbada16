"""Every SQL statement about packets."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from messages.contracts.store import StockReceived
from messages.participant.allocation import Want
from messages.participant.queries import lock_reservations, unit_lock
from messages.transport.service import Transaction, Write
from store_worker.allocation import Found

FREE = "packet.order_id IS NULL AND packet.gone IS NULL"
STILL_FREE = "num_nonnulls(packet.order_id, packet.gone) = 0"
"""The same, for packets looked up by id, in a form that the index of free packets does not match: if few were free at
the last ANALYZE, PostgreSQL would read that index from end to end for each packet."""
FRESH = "packet.best_before > statement_timestamp() + make_interval(secs => $4)"


class Withdrawn(NamedTuple):
    """A packet that was withdrawn while an order holds it, and the state of that order's reservation, if it has one."""

    packet_id: str
    order_id: UUID
    state: str | None


async def find_on_shelf(tx: Transaction, wants: Sequence[Want], margin_seconds: float, *, waiting: bool) -> list[Found]:
    """The packets wanted, nearest best-before first; locked if in a transaction. `waiting`: wait for others' locks."""
    rows = await tx.fetch(
        f"""
        WITH found AS MATERIALIZED (
            SELECT want.*, chosen.packet_ids
            FROM unnest($1::text[], $2::text[], $3::bigint[]) AS want (store_id, sku, quantity)
            CROSS JOIN LATERAL (
                SELECT array_agg(packet_id) AS packet_ids FROM (
                    SELECT packet_id FROM packet
                    WHERE packet.store_id = want.store_id AND packet.sku = want.sku AND {FREE} AND {FRESH}
                    ORDER BY store_id, sku, best_before, packet_id LIMIT want.quantity {unit_lock(tx, waiting=waiting)}
                ) AS candidate
            ) AS chosen
        )
        SELECT store_id, sku,
            packet_ids IS NOT NULL OR EXISTS (
                SELECT FROM received WHERE received.store_id = found.store_id AND received.sku = found.sku
            ),
            coalesce(packet_ids, '{{}}'),
            CASE WHEN cardinality(packet_ids) = quantity THEN quantity ELSE (
                SELECT count(*) FROM (
                    SELECT FROM packet
                    WHERE packet.store_id = found.store_id AND packet.sku = found.sku AND {FREE} AND {FRESH}
                    LIMIT quantity
                ) AS free
            ) END
        FROM found
        """,  # noqa: S608  our own SQL
        [want.shelf[0] for want in wants],
        [want.shelf[1] for want in wants],
        [want.quantity for want in wants],
        margin_seconds,
    )
    return [Found(*row) for row in rows]


def take(packet_ids: Sequence[str], order_ids: Sequence[UUID]) -> Write:
    """Give packets that are on the shelf to orders."""
    sql = f"""
        UPDATE packet SET order_id = taking.order_id
        FROM unnest(string_to_array($1, ','), $2::uuid[]) AS taking (packet_id, order_id)
        WHERE packet.packet_id = taking.packet_id AND {STILL_FREE}
        RETURNING 1
    """  # noqa: S608  our own SQL
    return Write(sql, (",".join(packet_ids), order_ids), len(packet_ids))


def give_back(packet_ids: Sequence[str], order_ids: Sequence[UUID]) -> Write:
    """Put packets back on the shelf, if these orders have them."""
    sql = """
        UPDATE packet SET order_id = NULL
        FROM unnest(string_to_array($1, ','), $2::uuid[]) AS giving (packet_id, order_id)
        WHERE packet.packet_id = giving.packet_id AND packet.order_id = giving.order_id
    """
    return Write(sql, (",".join(packet_ids), order_ids))


async def close(tx: Transaction, packet_ids: Sequence[str]) -> None:
    """Mark packets as fulfilled, without their order: the reservation that said so is being pruned."""
    await tx.execute(
        "UPDATE packet SET gone = 'fulfilled', order_id = NULL WHERE packet_id = ANY ($1::text[])", packet_ids
    )


async def receive(tx: Transaction, received: Sequence[StockReceived]) -> list[str]:
    """Put packets on the shelf, each once for ever. Returns ids that already belong to a packet of another kind."""
    packets = [
        (packet_id, stock.store_id, stock.sku, stock.best_before)
        for stock in received
        for packet_id in stock.packet_ids
    ]
    rows = await tx.fetch(
        """
        WITH given AS MATERIALIZED (
            SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[])
                AS given (packet_id, store_id, sku, best_before)
        ), added AS (
            INSERT INTO packet (packet_id, store_id, sku, best_before, gone)
            SELECT packet_id, store_id, sku, best_before, CASE WHEN early.packet_id IS NOT NULL THEN 'withdrawn' END
            FROM given LEFT JOIN withdrawn_early AS early USING (packet_id)
            ORDER BY packet_id
            ON CONFLICT DO NOTHING
            RETURNING store_id, sku
        ), counted AS (
            INSERT INTO received AS total (store_id, sku, received)
            SELECT store_id, sku, count(*) FROM added GROUP BY store_id, sku ORDER BY store_id, sku
            ON CONFLICT (store_id, sku) DO UPDATE SET received = total.received + excluded.received
        )
        SELECT given.packet_id FROM given JOIN packet USING (packet_id)
        WHERE (packet.store_id, packet.sku) <> (given.store_id, given.sku)
        """,
        *zip(*packets, strict=True),
    )
    return [row["packet_id"] for row in rows]


async def take_turn(tx: Transaction) -> None:
    """Serialise receiving and withdrawing until the commit: neither sees the other's uncommitted rows."""
    await tx.execute("SELECT pg_advisory_xact_lock(7305812028)")


async def lock_holders(tx: Transaction, packet_ids: Sequence[str]) -> set[UUID]:
    """Lock the reservations of orders that hold these packets."""
    holders = "SELECT order_id FROM packet WHERE packet_id = ANY ($1::text[]) AND order_id IS NOT NULL"
    return await lock_reservations(tx, holders, packet_ids)


async def strays(tx: Transaction, packet_ids: Sequence[str], store_ids: Sequence[str]) -> list[tuple[str, ...]]:
    """Packets, not gone yet, to be withdrawn from a store that is not theirs: their id, their store, and that one."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT packet_id, packet.store_id, given.store_id
        FROM unnest($1::text[], $2::text[]) AS given (packet_id, store_id) JOIN packet USING (packet_id)
        WHERE packet.store_id <> given.store_id AND packet.gone IS NULL ORDER BY packet_id
        """,
        packet_ids,
        store_ids,
    )
    return [tuple(row) for row in rows]


async def withdraw(tx: Transaction, packet_ids: Sequence[str], store_ids: Sequence[str]) -> list[Withdrawn]:
    """Take packets off the shelf for ever; those that an order holds as soon as it gives them back. Returns these."""
    rows = await tx.fetch(
        """
        WITH given AS MATERIALIZED (
            SELECT DISTINCT * FROM unnest($1::text[], $2::text[]) AS given (packet_id, store_id)
        ), locked AS MATERIALIZED (
            SELECT packet.packet_id FROM packet JOIN given USING (packet_id, store_id) WHERE packet.gone IS NULL
            ORDER BY packet.store_id, packet.sku, packet.best_before, packet.packet_id FOR UPDATE OF packet
        ), early AS (
            INSERT INTO withdrawn_early (packet_id)
            SELECT packet_id FROM given WHERE NOT EXISTS (SELECT FROM packet WHERE packet.packet_id = given.packet_id)
            ORDER BY packet_id
            ON CONFLICT DO NOTHING
        ), withdrawn AS (
            UPDATE packet SET gone = 'withdrawn' FROM locked WHERE packet.packet_id = locked.packet_id
            RETURNING packet.packet_id, packet.order_id
        )
        SELECT packet_id, order_id, state FROM withdrawn LEFT JOIN reservation USING (order_id)
        WHERE order_id IS NOT NULL ORDER BY packet_id
        """,
        packet_ids,
        store_ids,
    )
    return [Withdrawn(*row) for row in rows]


async def retire(tx: Transaction, margin_seconds: float, limit: int) -> int:
    """Take packets off the shelf that are too near their best-before. Returns how many."""
    retired: int = await tx.fetchval(
        f"""
        WITH old AS MATERIALIZED (
            SELECT candidate.packet_id FROM received CROSS JOIN LATERAL (
                SELECT packet_id FROM packet
                WHERE packet.store_id = received.store_id AND packet.sku = received.sku AND {FREE}
                    AND best_before <= statement_timestamp() + make_interval(secs => $1)
                ORDER BY best_before LIMIT $2 FOR UPDATE SKIP LOCKED
            ) AS candidate
            LIMIT $2
        ), retired AS (
            UPDATE packet SET gone = 'past_best_before' FROM old WHERE packet.packet_id = old.packet_id
            RETURNING 1
        )
        SELECT count(*) FROM retired
        """,  # noqa: S608  our own SQL
        margin_seconds,
        limit,
    )
    return retired
