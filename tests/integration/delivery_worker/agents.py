"""Which agent has an order."""

from uuid import UUID

from tests.integration.workers import Worker


async def agent_of(delivery: Worker, order_id: UUID) -> str:
    agent_ids: list[str] = (await delivery.holding(order_id))["unit_ids"]
    (agent_id,) = agent_ids
    return agent_id
