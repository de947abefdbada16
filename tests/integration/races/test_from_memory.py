"""What is answered from memory alone: a duplicate, and nothing that another daemon may have changed."""

from uuid import UUID, uuid4

from messages.contracts.delivery import AgentAssigned, AgentCameOnline, AgentWentOffline, AssignAgent
from messages.contracts.order import DeliveryCompleted
from messages.contracts.participation import NEVER_RESERVED, RESERVATION_EXPIRED
from messages.contracts.store import PacketsReserved
from tests.integration.races.twins import UNTIL_THE_FIRST_LEASE_IS_OVER, Twins, remembering, reserve_agent
from tests.integration.store_worker.messages import assign, refused, release, reserve, stock
from tests.integration.workers import Worker, in_seconds


async def test_what_was_forgotten_or_never_heard_here_is_no_new_order(twins: Twins, order: UUID) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1", "M-2"))
    await here.hear(release(uuid4()))  # which tells the time
    await there.hear(reserve(order, milk=1))

    assert await remembering(here, reserve(order, milk=1)) == "collision"
    late = reserve(order, milk=1).model_copy(update={"not_after": in_seconds(-60)})
    assert await remembering(here, late) == "collision"
    assert await here.stock() == {"M-1": "reserved", "M-2": "free"}


async def test_what_has_ended_elsewhere_is_not_answered_as_it_was(twins: Twins, order: UUID) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))
    await here.hear(reserve(order, milk=1))
    await there.hear(release(order))

    assert await remembering(here, reserve(order, milk=1)) == "collision"


async def test_what_was_forgotten_elsewhere_is_not_answered_as_it_was(twins: Twins, order: UUID) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))
    await here.hear(reserve(order, milk=1))
    await there.hear(release(order))
    await there.execute("UPDATE reservation SET forget_at = clock_timestamp()")
    await there.run("prune")

    assert await remembering(here, assign(order)) == "collision"
    assert await here.hear(assign(order)) == [refused(order, NEVER_RESERVED)]
    assert await here.stock() == {"M-1": "free"}


async def test_a_clock_that_stood_still_with_its_machine_lends_nothing_for_longer(twins: Twins, order: UUID) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))
    let_the_clock_stand_still(here)

    assert await remembering(here, reserve(order, lease_seconds=60, milk=1)) == [PacketsReserved(order_id=order)]
    assert await there.run("sweep") == [refused(order, RESERVATION_EXPIRED)]
    assert await there.hear(assign(order)) == [refused(order, RESERVATION_EXPIRED)]
    assert await there.stock() == {"M-1": "free"}


async def test_a_clock_that_stood_still_with_its_machine_assigns_nothing_that_is_over(
    twins: Twins, order: UUID
) -> None:
    here, _ = twins
    await here.hear(stock("milk", "M-1"))
    await here.hear(reserve(order, lease_seconds=1, milk=1))
    await here.query(UNTIL_THE_FIRST_LEASE_IS_OVER)
    let_the_clock_stand_still(here)

    assert await remembering(here, assign(order)) == "collision"
    assert await here.hear(assign(order)) == [refused(order, RESERVATION_EXPIRED)]


async def test_a_duplicate_is_answered_from_memory(twins: Twins, order: UUID) -> None:
    here, _ = twins
    await here.hear(stock("milk", "M-1"))
    await here.hear(reserve(order, milk=1))

    assert await remembering(here, reserve(order, milk=1)) == [PacketsReserved(order_id=order)]


async def test_units_that_were_unfit_are_looked_up_again(delivery_twins: Twins, order: UUID) -> None:
    here, there = delivery_twins
    await here.hear(AgentCameOnline(agent_id="A-1", zone="mitte"))
    await here.hear(reserve_agent(order))
    await there.hear(AgentWentOffline(agent_id="A-1"))
    await here.hear(DeliveryCompleted(order_id=order))
    await there.hear(AgentCameOnline(agent_id="A-1", zone="mitte"))

    assign_agent = AssignAgent(order_id=order, not_after=in_seconds(60))
    assert await remembering(here, assign_agent) == [AgentAssigned(order_id=order, agent_id="A-1")]


def let_the_clock_stand_still(worker: Worker) -> None:
    """As under a hypervisor, for two minutes."""
    assert worker.service.row_cache is not None
    clock = worker.service.row_cache.clock
    clock.set(in_seconds(-120), clock.monotonic())
