"""Who is sent: the longest idle of the zone, and who has delivered goes to the end of the line."""

from uuid import UUID, uuid4

from delivery_worker import queries
from delivery_worker.allocation import AGENT
from messages.participant.allocation import Want
from tests.integration.delivery_worker.agents import agent_of
from tests.integration.delivery_worker.messages import (
    ZONE,
    assign,
    completed,
    online,
    placed,
    refused,
    release,
    reserve,
)
from tests.integration.workers import Worker


async def test_without_an_idle_agent_of_the_zone_there_is_none(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1", "elsewhere"))

    assert await delivery.hear(reserve(order)) == [refused(order, "no_agent")]


async def test_the_longest_idle_goes_first(delivery: Worker, order: UUID) -> None:
    for agent_id in ("A-2", "A-1"):
        await delivery.hear(online(agent_id))

    await delivery.hear(reserve(order))

    assert await agent_of(delivery, order) == "A-2"


async def test_only_the_agents_that_are_wanted_are_locked(delivery: Worker) -> None:
    for agent_id in ("A-1", "A-2"):
        await delivery.hear(online(agent_id))
    await delivery.execute("UPDATE agent SET idle_since = idle_since - interval '1 hour' WHERE agent_id = 'A-2'")

    async with delivery.database.transaction() as first, delivery.database.transaction() as second:
        found = []
        for tx in (first, second):
            await tx.execute("SET LOCAL enable_indexscan = off")  # or they come in this order whether asked for or not
            found += await queries.find_idle(tx, [Want((ZONE, AGENT), 1)], waiting=False)

    assert [each.agent_ids for each in found] == [["A-2"], ["A-1"]], "the longest idle first"


async def test_who_has_delivered_goes_to_the_end_of_the_line(delivery: Worker, order: UUID) -> None:
    following = uuid4()
    for agent_id in ("A-1", "A-2"):
        await delivery.hear(online(agent_id))
    for message in (reserve(order), assign(order), placed(order), completed(order)):
        await delivery.hear(message)

    await delivery.hear(reserve(following))

    assert await agent_of(delivery, following) == "A-2"


async def test_who_was_released_keeps_the_place_in_line(delivery: Worker, order: UUID) -> None:
    following = uuid4()
    for agent_id in ("A-1", "A-2"):
        await delivery.hear(online(agent_id))
    await delivery.hear(reserve(order))
    await delivery.hear(release(order))

    await delivery.hear(reserve(following))

    assert await agent_of(delivery, following) == "A-1"
