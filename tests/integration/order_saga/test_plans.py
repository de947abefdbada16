"""How PostgreSQL goes about the saga's statements: plans are kept, so they must suit a table that has grown."""

from uuid import UUID, uuid4

from messages.contracts.delivery import AgentAssigned, AgentRefused, AgentReleased, AgentReserved
from messages.contracts.message import Message
from messages.contracts.order import Line, OrderRequested
from messages.contracts.store import PacketsAssigned, PacketsReleased, PacketsReserved
from tests.conftest import NewDatabase
from tests.integration.order_saga.orders import SERVICE
from tests.integration.plans import kept_plans
from tests.integration.workers import Worker

TIMES_UNTIL_A_PLAN_IS_KEPT = 8


def requested(order_id: UUID) -> Message:
    lines = (Line(sku="milk", quantity=1, price_cents=99),)
    return OrderRequested(order_id=order_id, customer_id="C", store_id="S", zone="Z", lines=lines)


def lives() -> list[Message]:
    """One order that is placed, one that is not, one that stays undecided."""
    placed, refused, undecided = (uuid4() for _ in range(3))
    return [
        requested(undecided),
        requested(placed),
        PacketsReserved(order_id=placed),
        AgentReserved(order_id=placed),
        PacketsAssigned(order_id=placed, packet_ids=(f"P-{placed}",)),
        AgentAssigned(order_id=placed, agent_id=f"A-{placed}"),
        requested(refused),
        AgentRefused(order_id=refused, reason="no_agent"),
        PacketsReleased(order_id=refused),
        AgentReleased(order_id=refused),
    ]


async def test_no_plan_that_is_kept_reads_the_whole_table(new_database: NewDatabase) -> None:
    saga = await Worker.start(SERVICE, await new_database(*SERVICE.migrations))
    for _ in range(TIMES_UNTIL_A_PLAN_IS_KEPT):
        for message in lives():
            await saga.hear(message)
        for job in SERVICE.jobs:
            await saga.run(job.name)
        await ask_for_room(saga)

    plans = await kept_plans(saga, "saga")

    assert len(plans) == 13, (
        "one for each statement that is run as a routine, and one for each combination of columns that changes"
    )
    assert [plan for plan in plans if "Seq Scan on saga" in plan] == []
    assert [plan for plan in plans if "Scan using saga" in plan and "Index Cond" not in plan] == [counting(plans)]
    await saga.stop()


def counting(plans: list[str]) -> str:
    """The one that reads its index from the start: it holds the undecided and nobody else."""
    (plan,) = (plan for plan in plans if "Index Only Scan" in plan)
    assert "Aggregate" in plan
    assert "using saga_undecided" in plan
    return plan


async def ask_for_room(saga: Worker) -> None:
    assert SERVICE.capacity is not None
    async with saga.database.transaction() as tx:
        assert await SERVICE.capacity(tx) > 0
