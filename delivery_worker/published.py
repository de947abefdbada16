"""The agents of delivery, as its published views show them."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from messages.transport.command_line.reading import PublishedViews


class Agent(NamedTuple):
    """An agent, the order they work for, and whether they are online, which they need not be to have one."""

    agent_id: str
    zone: str
    """Empty, if all that is known of them is that they are offline."""
    state: str
    """free, reserved, assigned, confirmed, offline."""
    order_id: UUID | None
    online: bool
    since: datetime | None
    """When the order's reservation of them came into this state; None, if they have no order."""


AGENT = """
    SELECT unit_id, place, stock.state, order_id, online,
        CASE stock.state WHEN 'assigned' THEN assigned_at ELSE changed_at END
    FROM published.stock LEFT JOIN published.holdings USING (order_id)
"""


async def agents(reader: PublishedViews) -> list[Agent]:
    return [Agent(*row) for row in await reader.rows(f"{AGENT} ORDER BY place, unit_id")]


async def agent_named(reader: PublishedViews, agent_id: str) -> Agent | None:
    rows = await reader.rows(f"{AGENT} WHERE unit_id = $1", agent_id)
    return Agent(*rows[0]) if rows else None
