"""What is decided on rows that were read without a lock, or cached, must still hold when it is written."""

import asyncio
from uuid import UUID, uuid4

import pytest

from messages.contracts.delivery import AgentCameOnline, AgentRefused, AgentWentOffline
from messages.contracts.store import PACKET_WITHDRAWN, PacketsAssigned, PacketsReserved, PacketsWithdrawn
from messages.transport.database.lock_mode import LockMode
from messages.transport.faults import Collision
from tests.integration.races.twins import LetPass, Twins, decided, in_flight, reserve_agent
from tests.integration.store_worker.messages import STORE, assign, refused, release, reserve, stock
from tests.integration.toy.waiting import PATIENCE_SECONDS
from tests.integration.workers import heard


@pytest.fixture(params=[False, True], ids=["read", "cached"])
def cached(request: pytest.FixtureRequest) -> bool:
    """Each race once with reading and once with what the worker remembers, which he has heard before."""
    return bool(request.param)


async def test_a_packet_that_was_taken_in_between_is_not_taken_again(twins: Twins, order: UUID, cached: bool) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))
    first = uuid4()

    async with decided(here, reserve(order, milk=1), cached=cached) as write_it:
        assert await there.hear(reserve(first, milk=1)) == [PacketsReserved(order_id=first)]
        with pytest.raises(Collision):
            await write_it()

    assert await here.holdings() == {first: "reserved"}
    assert await here.stock() == {"M-1": "reserved"}


async def test_an_order_that_was_released_in_between_is_not_reserved(twins: Twins, order: UUID, cached: bool) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))

    async with decided(here, reserve(order, milk=1), cached=cached) as write_it:
        await there.hear(release(order))
        with pytest.raises(Collision):
            await write_it()

    assert await here.holdings() == {order: "released"}
    assert await here.stock() == {"M-1": "free"}


async def test_nothing_is_decided_on_a_reservation_whose_packet_was_withdrawn_in_between(
    twins: Twins, order: UUID, cached: bool
) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))
    await here.hear(reserve(order, milk=1))

    async with decided(here, assign(order), cached=cached) as write_it:
        await there.hear(PacketsWithdrawn(store_id=STORE, packet_ids=("M-1",)))
        with pytest.raises(Collision):
            await write_it()

    assert await there.hear(assign(order)) == [refused(order, PACKET_WITHDRAWN)]


async def test_a_search_without_a_transaction_neither_locks_nor_passes_over_what_is_locked(
    twins: Twins, order: UUID
) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))

    async with here.database.transaction() as tx, there.database.session() as other:
        await tx.execute("SELECT FROM packet FOR UPDATE")
        handled = await there.service.handle(other, [heard(reserve(order, milk=1))], LockMode.OPTIMISTIC)

    assert [said.message for said in handled.outgoing] == [PacketsReserved(order_id=order)]


async def test_of_leases_that_are_assigned_together_the_first_to_run_out_must_not_have_run_out_when_they_are_written(
    let_pass: LetPass, twins: Twins, order: UUID, cached: bool
) -> None:
    here, _ = twins
    patient = uuid4()
    await here.hear(stock("milk", "M-1", "M-2"))
    await here.hear(reserve(order, lease_seconds=60, milk=1), reserve(patient, lease_seconds=600, milk=1))

    async with decided(here, [assign(patient), assign(order)], cached=cached) as write_it:
        await let_pass(60)
        with pytest.raises(Collision, match="too late"):
            await write_it()

    answers = await here.hear(assign(order, not_after=600), assign(patient, not_after=600))
    assert answers[0] == refused(order, "reservation_expired")
    assert isinstance(answers[1], PacketsAssigned)


async def test_without_a_transaction_nobody_waits_long_for_a_lock(twins: Twins, order: UUID, cached: bool) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))
    await here.hear(reserve(order, milk=1))

    async with in_flight(here, release(order)), decided(there, assign(order), cached=cached) as write_it:
        with pytest.raises(Collision):
            await asyncio.wait_for(write_it(), PATIENCE_SECONDS)

    assert await here.holdings() == {order: "released"}


async def test_a_packet_that_was_withdrawn_in_between_is_not_taken(twins: Twins, order: UUID, cached: bool) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))

    async with decided(here, reserve(order, milk=1), cached=cached) as write_it:
        await there.hear(PacketsWithdrawn(store_id=STORE, packet_ids=("M-1",)))
        with pytest.raises(Collision):
            await write_it()

    assert await here.hear(reserve(order, milk=1)) == [refused(order, "out_of_stock")]


async def test_an_agent_who_left_in_between_is_not_sent(delivery_twins: Twins, order: UUID, cached: bool) -> None:
    here, there = delivery_twins
    await here.hear(AgentCameOnline(agent_id="A-1", zone="mitte"))

    async with decided(here, reserve_agent(order), cached=cached) as write_it:
        await there.hear(AgentWentOffline(agent_id="A-1"))
        with pytest.raises(Collision):
            await write_it()


async def test_an_agent_who_went_to_another_zone_in_between_is_not_sent(
    delivery_twins: Twins, order: UUID, cached: bool
) -> None:
    here, there = delivery_twins
    await here.hear(AgentCameOnline(agent_id="A-1", zone="mitte"))

    async with decided(here, reserve_agent(order), cached=cached) as write_it:
        await there.hear(AgentCameOnline(agent_id="A-1", zone="nord"))
        with pytest.raises(Collision):
            await write_it()

    assert await here.hear(reserve_agent(order)) == [AgentRefused(order_id=order, reason="no_agent")]
