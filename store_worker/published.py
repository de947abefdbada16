"""The packets of the store, as its published views show them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from messages.transport.command_line.reading import PublishedViews

ON_HAND = ("free", "reserved", "assigned", "confirmed")
"""States in which a packet is on the shelf, or an order's and not delivered, as far as the store knows."""
CHOSEN = """
    ($1::text IS NULL OR place = $1) AND ($2::text IS NULL OR kind = $2)
    AND ($3::timestamptz IS NULL OR received_at >= $3) AND ($4::timestamptz IS NULL OR received_at < $4)
"""


class Choice(NamedTuple):
    """A filter on packets; None: any."""

    store_id: str | None = None
    sku: str | None = None
    received_since: datetime | None = None
    received_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Shelf:
    """All packets of one sku in one store: how many are in which state."""

    store_id: str
    sku: str
    counts: Mapping[str, int]


class Packet(NamedTuple):
    """A packet, the order that has it, and whether it was withdrawn, which it can be while an order has it."""

    packet_id: str
    store_id: str
    sku: str
    state: str
    """free, reserved, assigned, confirmed, fulfilled, retired."""
    withdrawn: bool
    order_id: UUID | None
    best_before: datetime
    received_at: datetime

    @property
    def on_hand(self) -> bool:
        return self.state in ON_HAND and not self.withdrawn


PACKET = "SELECT unit_id, place, kind, state, withdrawn, order_id, best_before, received_at FROM published.stock"


async def shelves(reader: PublishedViews, choice: Choice) -> list[Shelf]:
    rows = await reader.rows(
        f"""
        SELECT place, kind, array_agg(state), array_agg(units)
        FROM (
            SELECT place, kind, state, count(*) AS units FROM published.stock WHERE {CHOSEN} GROUP BY place, kind, state
        ) AS stock
        GROUP BY place, kind ORDER BY place, kind
        """,  # noqa: S608  our own SQL
        *choice,
    )
    return [Shelf(row[0], row[1], dict(zip(row[2], row[3], strict=True))) for row in rows]


async def packets(reader: PublishedViews, choice: Choice) -> AsyncIterator[Packet]:
    """One by one, however many there are: by store and sku, nearest best-before first."""
    query = f"{PACKET} WHERE {CHOSEN} ORDER BY place, kind, best_before, unit_id"
    async for row in reader.stream(query, *choice):
        yield Packet(*row)


async def packets_on_hand(reader: PublishedViews, choice: Choice) -> list[Packet]:
    return [packet async for packet in packets(reader, choice) if packet.on_hand]


async def packets_named(reader: PublishedViews, packet_ids: Sequence[str]) -> list[Packet]:
    """Those of these packets that exist, of any store and in any state."""
    rows = await reader.rows(f"{PACKET} WHERE unit_id = ANY ($1::text[]) ORDER BY unit_id", packet_ids)
    return [Packet(*row) for row in rows]
