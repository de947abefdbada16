"""What delivery publishes of its agents, as its view shows it to people."""

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


async def agents(reader: Published) -> list[Agent]:
    rows = await reader.rows(
        "SELECT unit_id, place, state, order_id, online FROM published.stock ORDER BY place, unit_id"
    )
    return [Agent(*row) for row in rows]
