"""An order's story at the delivery worker, from reserved to pruned, and where its agent is meanwhile."""

from uuid import UUID, uuid4

import pytest

from delivery_worker.units import Agents
from messages.contracts.delivery import AgentAssigned, AgentReleased, AgentReserved
from messages.participant.participant import Moves
from messages.transport.database.writing import write
from messages.transport.faults import Collision, TooMuchAtOnce
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


async def test_an_order_goes_from_reserved_to_fulfilled_and_the_agent_is_idle_again(
    delivery: Worker, order: UUID
) -> None:
    await delivery.hear(online("A-1"))

    assert await delivery.hear(reserve(order)) == [AgentReserved(order_id=order)]
    assert await delivery.stock() == {"A-1": "reserved"}
    assert await delivery.hear(assign(order)) == [AgentAssigned(order_id=order, agent_id="A-1")]
    assert await delivery.stock() == {"A-1": "assigned"}
    assert await delivery.hear(placed(order)) == []
    assert await delivery.stock() == {"A-1": "confirmed"}
    assert await delivery.hear(completed(order)) == []
    assert await delivery.stock() == {"A-1": "free"}
    assert (await delivery.holding(order))["state"] == "fulfilled"
    assert delivery.alarms == []


async def test_a_whole_life_in_one_batch_is_left_to_be_halved(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1"))

    with pytest.raises(TooMuchAtOnce):
        await delivery.hear(reserve(order), assign(order), placed(order), completed(order))

    assert await delivery.holdings() == {}
    assert await delivery.hear(reserve(order), assign(order)) != []
    assert await delivery.hear(placed(order), completed(order)) == []
    assert await delivery.stock() == {"A-1": "free"}


async def test_who_has_delivered_can_be_had_by_who_asks_in_the_same_batch(delivery: Worker, order: UUID) -> None:
    next_one = uuid4()
    await delivery.hear(online("A-1"))
    await delivery.hear(reserve(order), assign(order), placed(order))

    assert await delivery.hear(completed(order), reserve(next_one)) == [AgentReserved(order_id=next_one)]
    assert await agent_of(delivery, next_one) == "A-1"


async def test_a_duplicate_completion_does_not_free_the_agent_from_the_next_order(
    delivery: Worker, order: UUID
) -> None:
    following = uuid4()
    await delivery.hear(online("A-1"))
    await delivery.hear(reserve(order), assign(order), placed(order))
    await delivery.hear(completed(order))
    await delivery.hear(reserve(following), assign(following), placed(following))

    await delivery.hear(completed(order))

    assert await delivery.stock() == {"A-1": "confirmed"}


async def test_an_order_can_let_go_only_of_its_own_agent(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1"))
    await delivery.hear(reserve(order))

    async with delivery.database.transaction() as tx:
        await write(tx, [*Agents().move(Moves(given_back=[("A-1", uuid4())]))])

    assert await delivery.stock() == {"A-1": "reserved"}


async def test_an_order_can_take_only_an_idle_agent(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1"))
    await delivery.hear(reserve(order))
    other = uuid4()

    with pytest.raises(Collision):
        async with delivery.database.transaction() as tx:
            await write(tx, [*Agents().move(Moves(taken=[("A-1", other)], places={other: ZONE}))])

    assert await delivery.stock() == {"A-1": "reserved"}


async def test_release_before_reserve_leaves_a_tombstone(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1"))

    assert await delivery.hear(release(order)) == [AgentReleased(order_id=order)]
    assert await delivery.hear(reserve(order)) == [refused(order, "released")]
    assert await delivery.stock() == {"A-1": "free"}


async def test_fulfilled_reservations_are_pruned_and_the_agent_works_on(delivery: Worker, order: UUID) -> None:
    following = uuid4()
    await delivery.hear(online("A-1"))
    await delivery.hear(reserve(order), assign(order), placed(order))
    await delivery.hear(completed(order))
    await delivery.hear(reserve(following))
    await delivery.execute("UPDATE reservation SET forget_at = forget_at - interval '2 days'")

    await delivery.run("prune")

    assert await delivery.holdings() == {following: "reserved"}
    assert await delivery.stock() == {"A-1": "reserved"}
