"""PostgreSQL goes away, for seconds under load or for minutes: all daemons wait, and give up no message."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.end_to_end.cell import Cell, Servers
from tests.end_to_end.daemons import DRAIN_SECONDS, Daemon
from tests.end_to_end.load import PRIORITIZED, load
from tests.end_to_end.market import Market
from tests.integration.network import Network


async def test_postgresql_may_be_restarted_under_load(own_postgres, shared_servers, new_cell):
    cell = await new_cell(servers=shared_servers._replace(postgres_url=own_postgres.url))
    saga = cell.daemon("order_saga")
    async with load(cell) as orders:
        for end in (own_postgres.stop, own_postgres.kill, own_postgres.kill):
            await orders.until_placed(20)
            before = {daemon: len(daemon.told("job failed")) for daemon in cell.daemons}
            held = len(saga.told("batch failed, retrying"))
            await end()
            for daemon in cell.daemons:
                await daemon.until_told("job failed", times=before[daemon] + 1)
            # Orders keep coming to it; who had nothing in hand when the database went, has nothing to hold.
            await saga.until_told("batch failed, retrying", times=held + 1)
            await own_postgres.start()
        await orders.until_placed(100)
    orders.assert_useful(share=0.5, number=100)
    assert all(daemon.running for daemon in cell.daemons)


async def test_a_daemon_told_to_stop_while_postgresql_is_away_stops_in_time(own_postgres, shared_servers, new_cell):
    cell = await new_cell(servers=shared_servers._replace(postgres_url=own_postgres.url))
    market = await cell.market(agents=50, milk=50)
    orders = [market.order(milk=1) for _ in range(20)]
    await own_postgres.kill()
    placing = [asyncio.create_task(cell.client.place(order)) for order in orders]
    await cell.daemon("order_saga").until_told("batch failed, retrying")
    for code, seconds in await asyncio.gather(*(daemon.terminate() for daemon in cell.daemons)):
        assert code == 0
        assert seconds < DRAIN_SECONDS
    await own_postgres.start()
    await cell.start()
    assert all(outcome["type"] == "OrderPlaced" for outcome in await asyncio.gather(*placing))


async def test_daemons_started_before_their_servers_begin_to_work_when_those_are_there(
    own_postgres, own_rabbitmq, new_cell
):
    servers = Servers(own_postgres.url, own_rabbitmq.url, own_rabbitmq.management_url)
    cell = await new_cell(servers=servers, start=False)
    await asyncio.gather(own_postgres.stop(), own_rabbitmq.stop())
    for daemon in cell.daemons:
        daemon.launch()
        await daemon.until_told("waiting for PostgreSQL", times=2)
    await own_postgres.start()
    for daemon in cell.daemons:
        await daemon.until_told("broker connection failed", times=2)
    await own_rabbitmq.start()
    for daemon in cell.daemons:
        await daemon.ready()
    market = await cell.market(agents=1, milk=1)
    assert (await cell.client.place(market.order(milk=1)))["type"] == "OrderPlaced"
    assert all(daemon.running for daemon in cell.daemons)


@pytest.fixture
async def networks() -> AsyncIterator[AsyncExitStack]:
    """Those that a test enters into it stay for as long as its cell."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.mark.parametrize("service", ["order_saga", "store_worker"])  # the delivery worker runs the same as the latter
async def test_a_daemon_cut_off_from_its_database_leaves_what_comes_to_the_other(networks, new_cell, service):
    cell = await new_cell(start=False, **PRIORITIZED)
    cell.daemons.remove(cell.daemon(service))
    behind = {}
    for name in (f"{service}-one", f"{service}-other"):
        network = await networks.enter_async_context(Network(cell.databases[service]))
        behind[cell.hire_one(service, name, **{f"{service.upper()}_DATABASE_URL": network.url})] = network
    await cell.start()
    market = await cell.market(agents=400, milk=400)
    await place_ten(cell, market)
    first = await who_works(cell, market, list(behind))
    await behind[first].unplug()
    await place_ten(cell, market)
    await first.until_told("consuming paused until the current batch is finished")
    await behind[first].plug_in()
    await first.until_told("consuming resumed")
    await place_ten(cell, market)


async def place_ten(cell: Cell, market: Market) -> None:
    outcomes = await asyncio.gather(*(cell.client.place(market.order(milk=1)) for _ in range(10)))
    assert [outcome["type"] for outcome in outcomes] == ["OrderPlaced"] * 10


async def who_works(cell: Cell, market: Market, daemons: list[Daemon]) -> Daemon:
    """Of those of a kind, of which one has everything until it is full: with one message, if it has just come."""
    while True:
        before = [await daemon.counted("messages_received") for daemon in daemons]
        await place_ten(cell, market)
        after = [await daemon.counted("messages_received") for daemon in daemons]
        working = [each for each, had, has in zip(daemons, before, after, strict=True) if has > had]
        if len(working) == 1:  # the other one may have had something before this one was let have more than one message
            return working[0]
