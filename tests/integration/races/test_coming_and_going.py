"""Packets that are withdrawn and agents who leave while an order takes them."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

import delivery_worker.queries
import delivery_worker.service
import delivery_worker.settings
import store_worker.goods
from messages.contracts.delivery import AgentCameOnline, AgentWentOffline, AssignAgent
from messages.contracts.message import Message
from messages.contracts.store import PACKET_WITHDRAWN, PacketsWithdrawn
from messages.transport.database.transactions import Transaction
from tests.integration.races.twins import Twins, blocked, in_flight, remembering, reserve_agent
from tests.integration.store_worker.messages import STORE, assign, refused, reserve, stock
from tests.integration.workers import in_seconds, is_waiting_for_a_lock


async def test_a_withdrawal_waits_for_the_assign_it_meets_and_refuses_the_order(twins: Twins, order: UUID) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))
    await here.hear(reserve(order, milk=1))

    async with in_flight(here, assign(order)):
        withdrawing = await blocked(here, there.hear(PacketsWithdrawn(store_id=STORE, packet_ids=("M-1",))))

    assert await withdrawing == [refused(order, PACKET_WITHDRAWN)]


async def test_an_assign_waits_for_the_withdrawal_it_meets_and_is_refused(twins: Twins, order: UUID) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))
    await here.hear(reserve(order, milk=1))

    async with in_flight(here, PacketsWithdrawn(store_id=STORE, packet_ids=("M-1",))):
        assigning = await blocked(here, there.hear(assign(order)))

    assert await assigning == [refused(order, PACKET_WITHDRAWN)]
    assert await here.stock() == {"M-1": "retired"}


async def test_a_withdrawal_that_waits_for_an_order_holds_up_no_other_goods(twins: Twins, order: UUID) -> None:
    """Whoever has locked the order may be about to wait for its turn with goods."""
    here, there = twins
    await here.hear(stock("milk", "M-1"))
    await here.hear(reserve(order, milk=1))

    async with here.database.transaction() as tx:
        await tx.execute("SELECT FROM reservation FOR UPDATE")
        withdrawing = await blocked(here, there.hear(PacketsWithdrawn(store_id=STORE, packet_ids=("M-1",))))
        await store_worker.goods.take_turn(tx)
    await withdrawing

    assert there.collisions == 0


async def test_orders_that_hold_what_is_withdrawn_are_locked_in_the_order_of_their_ids(twins: Twins) -> None:
    here, there = twins
    low, *others = sorted(uuid4() for _ in range(10))
    for number, order_id in enumerate([*reversed(others), low]):
        await here.hear(stock("milk", f"M-{number}"))
        await here.hear(reserve(order_id, milk=1))
    packet_ids = tuple(await here.stock())

    async with here.database.transaction() as tx:
        await tx.execute("SELECT FROM reservation WHERE order_id = $1 FOR UPDATE", low)
        withdrawing = await blocked(here, there.hear(PacketsWithdrawn(store_id=STORE, packet_ids=packet_ids)))
        await tx.execute("SELECT FROM reservation WHERE order_id = ANY ($1) FOR UPDATE NOWAIT", others)
    await withdrawing


async def test_a_packet_taken_while_it_is_being_withdrawn_is_withdrawn_from_its_order(
    twins: Twins, order: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))
    look_for_holders = store_worker.goods.lock_holders

    async def too_early(tx: Transaction, packet_ids: Sequence[str]) -> set[UUID]:
        found = await look_for_holders(tx, packet_ids)
        if not here.collisions:
            await there.hear(reserve(order, milk=1))
        return found

    monkeypatch.setattr(store_worker.goods, "lock_holders", too_early)
    await here.hear(PacketsWithdrawn(store_id=STORE, packet_ids=("M-1",)))

    assert here.collisions == 1
    assert await remembering(there, assign(order)) == "collision"
    assert await there.hear(assign(order)) == [refused(order, PACKET_WITHDRAWN)]


@pytest.mark.parametrize("withdrawn_first", [True, False])
async def test_a_packet_that_is_received_and_withdrawn_at_the_same_time_is_withdrawn(
    twins: Twins, withdrawn_first: bool
) -> None:
    here, there = twins
    messages = [stock("milk", "M-1"), PacketsWithdrawn(store_id=STORE, packet_ids=("M-1",))]
    first, second = reversed(messages) if withdrawn_first else messages

    async with in_flight(here, first):
        other = await blocked(here, there.hear(second))
    await other

    assert await here.stock() == {"M-1": "retired"}


async def test_an_agent_sent_while_he_is_leaving_has_left_his_order(
    delivery_twins: Twins, order: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = delivery_twins
    await here.hear(AgentCameOnline(agent_id="A-1", zone="mitte"))
    look_for_holders = delivery_worker.queries.lock_holders

    async def too_early(tx: Transaction, agent_ids: Sequence[str]) -> set[UUID]:
        found = await look_for_holders(tx, agent_ids)
        if not here.collisions:
            await there.hear(reserve_agent(order))
        return found

    monkeypatch.setattr(delivery_worker.queries, "lock_holders", too_early)
    await here.hear(AgentWentOffline(agent_id="A-1"))

    assert here.collisions == 1
    assert await remembering(there, AssignAgent(order_id=order, not_after=in_seconds(60))) == "collision"


async def test_agents_who_come_and_go_do_not_deadlock_with_a_sweep(
    delivery_twins: Twins, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = delivery_twins
    agents = ("A-1", "A-2")
    await here.hear(*(AgentCameOnline(agent_id=agent_id, zone="mitte") for agent_id in agents))
    await here.hear(*(reserve_agent(uuid4()) for _ in agents))
    await here.execute("UPDATE reservation SET expires_at = clock_timestamp(), due_at = clock_timestamp()")
    look_for_holders = delivery_worker.queries.lock_holders
    sweeps: list[asyncio.Future[list[Message]]] = []

    async def while_it_is_swept(tx: Transaction, agent_ids: Sequence[str]) -> set[UUID]:
        sweeps.append(asyncio.ensure_future(there.run("sweep")))
        while not sweeps[0].done() and not await is_waiting_for_a_lock(tx):
            await asyncio.wait(sweeps, timeout=0.005)
        return await look_for_holders(tx, agent_ids)

    monkeypatch.setattr(delivery_worker.queries, "lock_holders", while_it_is_swept)
    await here.hear(AgentCameOnline(agent_id="A-1", zone="mitte"), AgentWentOffline(agent_id="A-2"))

    assert len(await sweeps[0]) == len(agents)
    assert await here.stock() == {"A-1": "free", "A-2": "offline"}


@pytest.mark.parametrize("gone_first", [True, False])
async def test_an_agent_never_heard_of_who_comes_and_goes_at_the_same_time_is_where_was_said_last(
    delivery_twins: Twins, gone_first: bool
) -> None:
    here, there = delivery_twins
    messages: list[Message] = [
        AgentCameOnline(agent_id="A-1", zone="mitte", at=in_seconds(-60)),
        AgentWentOffline(agent_id="A-1", at=in_seconds(-30)),
    ]
    first, second = reversed(messages) if gone_first else messages

    async with in_flight(here, first):
        other = await blocked(here, there.hear(second))
    await other

    assert await here.stock() == {"A-1": "offline"}


@pytest.mark.parametrize("known_as_gone", [True, False])
async def test_an_agent_who_came_and_was_sent_while_he_is_leaving_has_left_his_order(
    delivery_twins: Twins, order: UUID, known_as_gone: bool
) -> None:
    here, there = delivery_twins
    if known_as_gone:
        await here.hear(AgentWentOffline(agent_id="A-1"))

    async with in_flight(here, AgentCameOnline(agent_id="A-1", zone="mitte"), reserve_agent(order)) as handled:
        leaving = await blocked(here, there.hear(AgentWentOffline(agent_id="A-1")))
    assert here.service.row_cache is not None
    here.service.row_cache.put(handled.changes)
    await leaving

    assert there.collisions == 1
    assert await remembering(here, AssignAgent(order_id=order, not_after=in_seconds(60))) == "collision"
