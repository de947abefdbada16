"""What the order saga publishes of its orders, as its view shows it to people."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from asyncpg import Record
from pydantic import TypeAdapter

from messages.transport.command_line.reading import PublishedViews
from order_saga.state import Phase, Standing
from order_saga.steps import silent

STANDINGS = TypeAdapter(dict[str, Standing])
UNREADABLE = "?"


class Unfinished(StrEnum):
    """In which way an order is not finished."""

    UNDECIDED = "outcome IS NULL"
    RELEASING = "outcome = 'not_placed' AND cleaned_at IS NULL"


class UnfinishedOrder(NamedTuple):
    """An order that is undecided, or not placed and not yet released by everybody."""

    order_id: UUID
    phase: str
    accepted_at: datetime
    deadline: datetime | None
    """None, where it was cancelled before it was ever heard of."""
    decided_at: datetime | None
    reason: str | None
    silent: Sequence[str]
    """Participants that have not answered what this phase asks of them; `?`, if the row cannot be read."""


async def unfinished(
    reader: PublishedViews, which: Sequence[Unfinished], limit: int
) -> tuple[Sequence[UnfinishedOrder], int]:
    """Those that were accepted first, and how many there are in all."""
    rows = await reader.rows(
        f"""
        SELECT order_id, phase, accepted_at, deadline, decided_at, reason, standing::text, count(*) OVER () AS number
        FROM published.orders WHERE {" OR ".join(f"({each})" for each in which)}
        ORDER BY accepted_at, order_id LIMIT $1
        """,  # noqa: S608  words of our own
        limit,
    )
    return [_order(row) for row in rows], rows[0]["number"] if rows else 0


def _order(row: Record) -> UnfinishedOrder:
    fields = (row["order_id"], row["phase"], row["accepted_at"], row["deadline"], row["decided_at"], row["reason"])
    return UnfinishedOrder(*fields, silent=_silent(row["phase"], row["standing"]))


def _silent(phase: str, standings: str) -> Sequence[str]:
    try:
        return silent(Phase(phase), STANDINGS.validate_json(standings))
    except ValueError:  # changed by hand, past the triggers
        return [UNREADABLE]
