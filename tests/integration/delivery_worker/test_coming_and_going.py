"""Agents come online, change zones and go offline, with an order or without."""

import asyncio
from uuid import UUID

from messages.contracts.delivery import AGENT_OFFLINE, AgentAssigned, AgentReserved
from tests.integration.delivery_worker.agents import agent_of
from tests.integration.delivery_worker.messages import (
    ZONE,
    assign,
    completed,
    offline,
    online,
    placed,
    refused,
    release,
    reserve,
)
from tests.integration.toy.waiting import PATIENCE_SECONDS
from tests.integration.workers import Worker


async def test_coming_online_twice_changes_nothing(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1"))
    await delivery.hear(online("A-2"))
    await delivery.hear(online("A-1"))

    await delivery.hear(reserve(order))

    assert await agent_of(delivery, order) == "A-1"


async def test_an_idle_agent_changes_zones_at_once(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1", "elsewhere"))
    await delivery.hear(online("A-1"))

    assert await delivery.hear(reserve(order)) == [AgentReserved(order_id=order)]


async def test_a_busy_agent_changes_zones_afterwards(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1"))
    await delivery.hear(reserve(order))
    await delivery.hear(online("A-1", "elsewhere"))

    assert [row["place"] for row in await delivery.query("SELECT place FROM published.stock")] == [ZONE]
    await delivery.hear(release(order))
    assert [row["place"] for row in await delivery.query("SELECT place FROM published.stock")] == ["elsewhere"]


async def test_who_is_offline_is_not_sent(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1"))
    await delivery.hear(offline("A-1"))

    assert await delivery.hear(reserve(order)) == [refused(order, "no_agent")]
    assert await delivery.stock() == {"A-1": "offline"}


async def test_in_one_batch_the_last_word_counts(delivery: Worker) -> None:
    await delivery.hear(online("A-1"), offline("A-1"), offline("A-2"), online("A-2"))

    assert await delivery.stock() == {"A-1": "offline", "A-2": "free"}


async def test_going_offline_while_idle_concerns_no_order(delivery: Worker) -> None:
    await delivery.hear(online("A-1"))
    await delivery.hear(offline("A-1"))

    assert await delivery.stock() == {"A-1": "offline"}
    assert (delivery.alarms, delivery.timeline) == ([], [])


async def test_going_offline_while_reserved_makes_the_assign_be_refused(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1"))
    await delivery.hear(reserve(order))
    await delivery.hear(offline("A-1"))

    assert await delivery.hear(assign(order)) == [refused(order, AGENT_OFFLINE)]
    assert await delivery.stock() == {"A-1": "offline"}
    assert delivery.alarms == []
    assert ("AgentWentOffline", "A-1 went offline while reserved") in delivery.timeline


async def test_going_offline_while_assigned_refuses_the_order_which_keeps_the_agent_until_it_is_released(
    delivery: Worker, order: UUID
) -> None:
    await delivery.hear(online("A-1"))
    await delivery.hear(reserve(order), assign(order))

    assert await delivery.hear(offline("A-1")) == [refused(order, AGENT_OFFLINE)]

    assert delivery.alarms == []
    assert await delivery.hear(assign(order)) == [refused(order, AGENT_OFFLINE)]
    assert await delivery.stock() == {"A-1": "assigned"}
    await delivery.hear(release(order))
    assert await delivery.stock() == {"A-1": "offline"}


async def test_going_offline_while_confirmed_takes_effect_afterwards_with_an_alarm(
    delivery: Worker, order: UUID
) -> None:
    await delivery.hear(online("A-1"))
    await delivery.hear(reserve(order), assign(order), placed(order))
    assert await delivery.hear(offline("A-1")) == []

    assert delivery.alarms == ["offline_while_confirmed"]
    assert await delivery.hear(assign(order)) == [AgentAssigned(order_id=order, agent_id="A-1")]
    assert await delivery.stock() == {"A-1": "confirmed"}
    await delivery.hear(completed(order))
    assert await delivery.stock() == {"A-1": "offline"}


async def test_who_has_delivered_and_leaves_in_the_same_batch_has_left_no_order(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1"))
    await delivery.hear(reserve(order), assign(order), placed(order))

    await delivery.hear(completed(order), offline("A-1"))

    assert delivery.alarms == []
    assert await delivery.stock() == {"A-1": "offline"}


async def test_who_leaves_before_the_delivery_in_the_same_batch_has_left_the_order(
    delivery: Worker, order: UUID
) -> None:
    await delivery.hear(online("A-1"))
    await delivery.hear(reserve(order), assign(order), placed(order))

    await delivery.hear(completed(UUID(int=0)), offline("A-1"), completed(order))

    assert delivery.alarms == ["delivered_without_assignment", "offline_while_confirmed"]


async def test_who_leaves_an_order_without_a_reservation_is_nobodys(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1"))
    await delivery.hear(reserve(order))
    await delivery.execute("DELETE FROM reservation")

    async with asyncio.timeout(PATIENCE_SECONDS):
        await delivery.hear(offline("A-1"))

    assert delivery.alarms == ["held_without_reservation"]
    assert delivery.timeline[-1] == ("AgentWentOffline", "A-1 went offline while held without a reservation")
    assert delivery.collisions == 0
    assert await delivery.stock() == {"A-1": "offline"}


async def test_who_is_back_before_the_assign_is_assigned(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1"))
    await delivery.hear(reserve(order))
    await delivery.hear(offline("A-1"))
    await delivery.hear(online("A-1"))

    assert await delivery.hear(assign(order)) == [AgentAssigned(order_id=order, agent_id="A-1")]
