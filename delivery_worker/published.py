"""What delivery publishes of its agents, as its view shows it to people."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from messages.transport.command_line.reading import Published


class Agent(NamedTuple):
    """An agent, the order he works for, and whether he is online, which he need not be to have one."""

    agent_id: str
    zone: str
    """Empty, if all that is known of him is that he is offline."""
    state: str
    """free, reserved, assigned, confirmed, offline."""
    order_id: UUID | None
    online: bool
    since: datetime | None
    """When what the order has of him last changed; None, if he has no order."""


AGENT = """
    SELECT unit_id, place, stock.state, order_id, online, changed_at
    FROM published.stock LEFT JOIN published.holdings USING (order_id)
"""


async def agents(reader: Published) -> list[Agent]:
    return [Agent(*row) for row in await reader.rows(f"{AGENT} ORDER BY place, unit_id")]


async def agent_named(reader: Published, agent_id: str) -> Agent | None:
    rows = await reader.rows(f"{AGENT} WHERE unit_id = $1", agent_id)
    return Agent(*rows[0]) if rows else None
