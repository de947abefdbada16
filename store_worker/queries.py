"""Every SQL statement about packets, save those about packets that come and that are withdrawn."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from messages.participant.allocation import Want
from messages.participant.queries import unit_lock
from messages.transport.database.transactions import Transaction
from messages.transport.database.writing import Write
from store_worker.allocation import Found

FREE = "packet.order_id IS NULL AND packet.gone IS NULL"
STILL_FREE = "num_nonnulls(packet.order_id, packet.gone) = 0"
"""The same, for packets looked up by id, in a form that the index of free packets does not match: if few were free at
the last ANALYZE, PostgreSQL would read that index from end to end for each packet."""
FRESH = "packet.best_before > statement_timestamp() + make_interval(secs => $4)"


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
            packet_ids IS NOT NULL OR coalesce((  -- not EXISTS, for which all of the table may be read and hashed
                SELECT true FROM received WHERE received.store_id = found.store_id AND received.sku = found.sku
            ), false),
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


class Retired(NamedTuple):
    """How many packets were retired, and the last shelf that was looked at; None: there is no further one."""

    packets: int
    last: tuple[str, str] | None


async def retire(tx: Transaction, margin_seconds: float, after: tuple[str, str], shelves: int, limit: int) -> Retired:
    """Retire at most `limit` packets that are too near their best-before, from so many `shelves` behind `after`.

    A shelf is (store id, sku); shelves are ordered by both. Packets that others have locked are left.
    """
    (row,) = await tx.fetch(
        f"""
        WITH shelf AS MATERIALIZED (
            SELECT store_id, sku FROM received WHERE (store_id, sku) > ($2, $3) ORDER BY store_id, sku LIMIT $4
        ), old AS MATERIALIZED (
            SELECT candidate.packet_id FROM shelf CROSS JOIN LATERAL (
                SELECT packet_id FROM packet
                WHERE packet.store_id = shelf.store_id AND packet.sku = shelf.sku AND {FREE}
                    AND best_before <= statement_timestamp() + make_interval(secs => $1)
                ORDER BY best_before LIMIT $5 FOR UPDATE SKIP LOCKED
            ) AS candidate
            LIMIT $5
        ), retired AS (
            UPDATE packet SET gone = 'past_best_before' FROM old WHERE packet.packet_id = old.packet_id
            RETURNING 1
        )
        SELECT (SELECT count(*) FROM retired) AS packets, last.store_id, last.sku
        FROM (SELECT) AS always LEFT JOIN (SELECT * FROM shelf ORDER BY store_id, sku OFFSET $4 - 1) AS last ON true
        """,  # noqa: S608  our own SQL
        margin_seconds,
        *after,
        shelves,
        limit,
    )
    return Retired(row["packets"], None if row["sku"] is None else (row["store_id"], row["sku"]))
