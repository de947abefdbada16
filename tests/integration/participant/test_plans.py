"""How PostgreSQL goes about the workers' statements: plans are kept, so they must suit tables that have grown."""

import re
from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

import pytest

import delivery_worker.service
import delivery_worker.settings
import store_worker.service
import store_worker.settings
from messages.contracts.delivery import AgentCameOnline, AgentWentOffline, AssignAgent, ReleaseAgent, ReserveAgent
from messages.contracts.message import Message
from messages.contracts.store import (
    AssignPackets,
    PacketsWithdrawn,
    ReleasePackets,
    ReservePackets,
    StockReceived,
    Want,
)
from messages.transport.service import Service
from tests.conftest import NewDatabase
from tests.integration.plans import kept_plans
from tests.integration.workers import Worker, in_seconds

STORE = store_worker.service.service(store_worker.settings.Settings(database_url="postgresql://elsewhere/"))
DELIVERY = delivery_worker.service.service(delivery_worker.settings.Settings(database_url="postgresql://elsewhere/"))
TIMES_UNTIL_A_PLAN_IS_KEPT = 8
TABLES = ("reservation", "packet", "agent")


def store_life(order_id: UUID) -> list[Message]:
    milk = (Want(sku="milk", quantity=1),)
    return [
        StockReceived(store_id="s", sku="milk", best_before=in_seconds(864_000), packet_ids=(f"M-{order_id}",)),
        ReservePackets(order_id=order_id, store_id="s", wants=milk, lease_seconds=60, not_after=in_seconds(60)),
        AssignPackets(order_id=order_id, not_after=in_seconds(60)),
        ReleasePackets(order_id=order_id),
        PacketsWithdrawn(store_id="s", packet_ids=(f"M-{order_id}",)),
    ]


def delivery_life(order_id: UUID) -> list[Message]:
    return [
        AgentCameOnline(agent_id=f"A-{order_id}", zone="z"),
        ReserveAgent(order_id=order_id, zone="z", lease_seconds=60, not_after=in_seconds(60)),
        AssignAgent(order_id=order_id, not_after=in_seconds(60)),
        ReleaseAgent(order_id=order_id),
        AgentWentOffline(agent_id=f"A-{order_id}"),
    ]


each_worker = pytest.mark.parametrize(
    ("service", "life"),
    [pytest.param(STORE, store_life, id="store"), pytest.param(DELIVERY, delivery_life, id="delivery")],
)


@each_worker
async def test_no_plan_that_is_kept_reads_whole_tables(
    new_database: NewDatabase, service: Service, life: Callable[[UUID], list[Message]]
) -> None:
    worker = await Worker.start(service, await new_database(*service.migrations))
    for _ in range(TIMES_UNTIL_A_PLAN_IS_KEPT):
        for message in life(uuid4()):
            await worker.hear(message)
        for job in service.jobs:
            await worker.run(job.name)

    plans = await kept_plans(worker, *TABLES)

    assert len(plans) > 5
    whole = [plan for plan in plans if any(f"Seq Scan on {table}" in plan for table in TABLES)]
    assert whole == []
    assert [plan for plan in plans if reads_an_index_from_end_to_end(plan)] == []
    await worker.stop()


def reads_an_index_from_end_to_end(plan: str) -> bool:
    """An index of what is free may be as large as the shelf, also where the statistics expect it to be empty."""
    return any(
        re.search(r"Scan using \w+ on (packet|agent|reservation)|Bitmap Index Scan", node) and "Index Cond" not in node
        for node in plan.split("->")
    )


@each_worker
async def test_no_unit_of_a_batch_is_compared_with_each_of_the_others(
    new_database: NewDatabase, service: Service, life: Callable[[UUID], list[Message]]
) -> None:
    """A document names up to a thousand: with neither hash nor merge joins, a join without an index is quadratic."""
    worker = await Worker.start(service, await new_database(*service.migrations))
    for message in life(uuid4()):
        await worker.hear(message)

    plans = await kept_plans(worker, *TABLES)

    inner = [each for plan in plans for each in inner_sides(plan)]
    assert [each for each in inner if "Index" not in each or "CTE Scan" in each] == []
    await worker.stop()


async def test_no_measure_reads_all_reservations(new_database: NewDatabase) -> None:
    """It is asked several times a minute, also of tables that are too young to have statistics."""
    worker = await Worker.start(DELIVERY, await new_database(*DELIVERY.migrations))
    async with worker.database.session() as tx:
        explained = [await tx.fetch(f"EXPLAIN {measure.sql}") for measure in DELIVERY.measures]

    plans = ["\n".join(line[0] for line in plan) for plan in explained]

    assert len(plans) == 1
    assert [plan for plan in plans if reads_an_index_from_end_to_end(plan)] == []
    await worker.stop()


def inner_sides(plan: str) -> Iterator[str]:
    """Of each nested loop: the node, with all below it, that is run for each row of the other side."""
    lines = plan.splitlines()
    depths = [line.find("->") for line in lines]
    for at, depth in enumerate(depths):
        if "Nested Loop" not in lines[at]:
            continue
        end = next((n for n in range(at + 1, len(lines)) if 0 <= depths[n] <= depth), len(lines))
        least = min(depth for depth in depths[at + 1 : end] if depth >= 0)
        *_, inner = (n for n in range(at + 1, end) if depths[n] == least)
        yield "\n".join(lines[inner:end])
