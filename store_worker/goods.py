"""Every SQL statement about packets that come, and that are withdrawn."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from messages.contracts.store import StockReceived
from messages.participant.loss import Lost
from messages.participant.queries import lock_reservations
from messages.transport.database.transactions import Transaction

ADVISORY_LOCK = 7_305_812_028


async def receive(tx: Transaction, received: Sequence[StockReceived]) -> list[tuple[str, int]]:
    """Put packets on the shelf, each once for ever, as the message says that named it first.

    Returns ids that belong to a packet of another kind already, each with the position of the message that reuses it.
    """
    packets = [
        (packet_id, stock.store_id, stock.sku, stock.best_before, position)
        for position, stock in enumerate(received)
        for packet_id in stock.packet_ids
    ]
    rows = await tx.fetch(
        """
        WITH given AS MATERIALIZED (
            SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::integer[])
                AS given (packet_id, store_id, sku, best_before, position)
        ), added AS (
            INSERT INTO packet (packet_id, store_id, sku, best_before, gone)
            SELECT packet_id, store_id, sku, best_before, CASE WHEN EXISTS (
                SELECT FROM withdrawn_early AS early
                WHERE early.packet_id = given.packet_id AND early.named_store_id IN (given.store_id, '')
            ) THEN 'withdrawn' END
            FROM given ORDER BY packet_id, position
            ON CONFLICT DO NOTHING
            RETURNING store_id, sku
        ), counted AS (
            INSERT INTO received AS total (store_id, sku, received)
            SELECT store_id, sku, count(*) FROM added GROUP BY store_id, sku
            ON CONFLICT (store_id, sku) DO UPDATE SET received = total.received + excluded.received
        ), named AS (
            SELECT *, first_value(store_id) OVER same AS first_store, first_value(sku) OVER same AS first_sku
            FROM given WINDOW same AS (PARTITION BY packet_id ORDER BY position)
        )
        SELECT packet_id, position FROM named LEFT JOIN packet USING (packet_id)  -- as it was before this statement
        WHERE (coalesce(packet.store_id, first_store), coalesce(packet.sku, first_sku)) <> (named.store_id, named.sku)
        ORDER BY position
        """,
        *zip(*packets, strict=True),
    )
    return [(row["packet_id"], row["position"]) for row in rows]


class Stray(NamedTuple):
    """A packet on hand that is to be withdrawn from a store that is not its own."""

    packet_id: str
    store_id: str
    named_store_id: str


async def early_strays(tx: Transaction, packet_ids: Sequence[str]) -> list[Stray]:
    """Packets now here that had been withdrawn before they came, and only from other stores.

    One row a packet, though a supplier may have named any number of stores.
    """
    rows = await tx.fetch(
        """
        SELECT packet.packet_id, packet.store_id, early.named_store_id
        FROM unnest($1::text[]) AS given (packet_id) CROSS JOIN LATERAL (
            SELECT packet_id, store_id FROM packet WHERE packet.packet_id = given.packet_id AND gone IS NULL OFFSET 0
        ) AS packet CROSS JOIN LATERAL (
            SELECT named_store_id FROM withdrawn_early
            WHERE withdrawn_early.packet_id = packet.packet_id AND named_store_id NOT IN ('', packet.store_id)
            LIMIT 1
        ) AS early
        ORDER BY packet_id
        """,
        packet_ids,
    )
    return [Stray(*row) for row in rows]


async def take_turn(tx: Transaction) -> None:
    """Serialise receiving and withdrawing until the commit: neither sees the other's uncommitted rows."""
    await tx.execute(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")


async def lock_holders(tx: Transaction, packet_ids: Sequence[str]) -> set[UUID]:
    """Lock the reservations of orders that hold these packets."""
    holders = "SELECT order_id FROM packet WHERE packet_id = ANY ($1::text[]) AND order_id IS NOT NULL"
    return await lock_reservations(tx, holders, packet_ids)


async def strays(tx: Transaction, packet_ids: Sequence[str], store_ids: Sequence[str]) -> list[Stray]:
    """Those of these packets that are not of the store named with them."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT packet_id, packet.store_id, given.store_id
        FROM unnest($1::text[], $2::text[]) AS given (packet_id, store_id) JOIN packet USING (packet_id)
        WHERE packet.store_id <> given.store_id AND packet.gone IS NULL ORDER BY packet_id
        """,
        packet_ids,
        store_ids,
    )
    return [Stray(*row) for row in rows]


async def withdraw(tx: Transaction, packet_ids: Sequence[str], store_ids: Sequence[str]) -> list[Lost]:
    """Take packets off the shelf for ever, a held one as soon as it is given back. Returns the held ones.

    Shelves are locked in the order of `total_demand`, whatever the database's collation is, so that none deadlock.
    """
    rows = await tx.fetch(
        """
        WITH given AS MATERIALIZED (
            SELECT * FROM unnest($1::text[], $2::text[]) AS given (packet_id, store_id)
        ), locked AS MATERIALIZED (
            SELECT packet.packet_id FROM packet JOIN given USING (packet_id, store_id) WHERE packet.gone IS NULL
            ORDER BY packet.store_id COLLATE "C", packet.sku COLLATE "C", packet.best_before, packet.packet_id
            FOR UPDATE OF packet
        ), early AS (
            INSERT INTO withdrawn_early (packet_id, named_store_id)
            SELECT packet_id, store_id FROM given
            WHERE NOT EXISTS (SELECT FROM packet WHERE packet.packet_id = given.packet_id)
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
    return [Lost(*row) for row in rows]
