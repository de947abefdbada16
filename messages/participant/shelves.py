"""What a participant lends, as its published view shows it to people."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from messages.transport.command_line.reading import Published, reading, source
from messages.transport.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shelf:
    """All units of one kind in one place: how many are in which state."""

    place: str
    kind: str
    counts: Mapping[str, int] = field(default_factory=dict)


def ask(settings: Settings, question: Callable[[Published], Awaitable[T]]) -> T:
    """Ask the service's database, from the command line. Raises Unreachable, one line, naming the setting."""

    async def answer() -> T:
        setting, url = source(settings.prefix(), settings.database_url, settings.reader_url)
        async with reading(url.get_secret_value(), setting) as reader:
            return await question(reader)

    return asyncio.run(answer())


async def shelves(reader: Published) -> list[Shelf]:
    rows = await reader.rows(
        """
        SELECT place, kind, array_agg(state), array_agg(units)
        FROM (SELECT place, kind, state, count(*) AS units FROM published.stock GROUP BY place, kind, state) AS stock
        GROUP BY place, kind ORDER BY place, kind
        """
    )
    return [Shelf(row[0], row[1], dict(zip(row[2], row[3], strict=True))) for row in rows]
