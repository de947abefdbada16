"""A clean system is clean, also under load, and what is nobody's concern accuses nobody."""

import asyncio
from collections import Counter

from deploy.definitions import all_services
from messages.transport.in_process.broker import InProcessBroker
from messages.transport.topology import topology_of
from order_saga.inspection.audit import examine
from tests.integration.audit.worlds import MINE, QUEUE, World, audit, order, stock
from tests.integration.small_system import databases, place_all, running

IN_THIS_DATABASE = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I CHANGE', current_database()); END $$"


async def test_a_clean_system_is_clean(world: World) -> None:
    report = await examine(world.urls, 0.0, at_rest=True)

    assert report.findings == []
    assert (report.orders, report.parked_by_others) == (4, 0)


async def test_it_is_clean_in_whatever_order_its_rows_stand(world: World) -> None:
    for service, table in (("order_saga", "saga"), ("store_worker", "reservation"), ("delivery_worker", "reservation")):
        rows = f"SELECT * FROM kept.{table} ORDER BY order_id DESC"
        await world.corrupt(service, f"DELETE FROM {table}; INSERT INTO {table} {rows}; ANALYZE {table}")
    # Or rows may come in the order of their ids, whether asked for or not.
    for join in ("mergejoin", "hashjoin"):
        await world.corrupt("order_saga", IN_THIS_DATABASE.replace("CHANGE", f"SET enable_{join} = off"))
    try:
        assert await audit(world.urls, at_rest=True) == []
    finally:
        await world.corrupt("order_saga", IN_THIS_DATABASE.replace("CHANGE", "RESET ALL"))


async def test_orders_of_which_no_story_is_left_are_known_all_the_same(world: World) -> None:
    await world.corrupt("order_saga", "DELETE FROM timeline")

    report = await examine(world.urls, 0.0, at_rest=True)

    assert (report.findings, report.orders) == ([], 4)


async def test_where_an_agent_goes_after_a_delivery_is_nobody_s_concern(world: World) -> None:
    await world.corrupt("delivery_worker", "UPDATE agent SET zone = 'south' WHERE order_id IS NULL")

    assert await audit(world.urls, at_rest=True) == []


async def test_that_somebody_is_gone_who_never_came_is_nobody_s_concern(world: World) -> None:
    await world.corrupt(
        "delivery_worker",
        "INSERT INTO agent (agent_id, zone, online, idle_since, said_at) VALUES ('A-9', '', false, now(), now())",
    )

    assert await audit(world.urls, at_rest=True) == []


async def test_a_live_system_under_load_is_not_accused(postgres_url: str) -> None:
    exchanges = InProcessBroker(topology_of(all_services()))
    exchanges.declare(MINE)
    async with databases(postgres_url) as urls, running(urls, exchanges.beside):
        broker = exchanges.beside()
        await broker.start()
        await stock(broker, urls, agents=("A-1", "A-2"))
        async with asyncio.TaskGroup() as tasks:
            placing = tasks.create_task(place_all(broker, QUEUE, [order(1) for _ in range(300)]))
            while not placing.done():
                assert await audit(urls, 10.0) == []  # which waits only where something looks wrong
        assert Counter(answer.is_success for answer in placing.result()) == {True: 2, False: 298}
