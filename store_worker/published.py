"""What the store publishes of its packets, as its view shows it to people."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from messages.transport.command_line.reading import Published


@dataclass(frozen=True, slots=True)
class Shelf:
    """All packets of one sku in one store: how many are in which state."""

    store_id: str
    sku: str
    counts: Mapping[str, int] = field(default_factory=dict)


async def shelves(reader: Published) -> list[Shelf]:
    rows = await reader.rows(
        """
        SELECT place, kind, array_agg(state), array_agg(units)
        FROM (SELECT place, kind, state, count(*) AS units FROM published.stock GROUP BY place, kind, state) AS stock
        GROUP BY place, kind ORDER BY place, kind
        """
    )
    return [Shelf(row[0], row[1], dict(zip(row[2], row[3], strict=True))) for row in rows]
