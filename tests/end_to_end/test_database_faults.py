"""PostgreSQL goes away, for seconds under load or for minutes: everybody waits, and nobody gives up a message."""

import asyncio

from tests.end_to_end.cell import Servers
from tests.end_to_end.daemons import DRAIN_SECONDS
from tests.end_to_end.load import PATIENT, load


async def test_postgresql_may_be_restarted_under_load(own_postgres, shared_servers, new_cell):
    cell = await new_cell(servers=shared_servers._replace(postgres_url=own_postgres.url), **PATIENT)
    saga = cell.daemon("order_saga")
    async with load(cell) as orders:
        for end in (own_postgres.stop, own_postgres.kill, own_postgres.kill):
            await orders.until_placed(20)
            before = {daemon: len(daemon.told("job failed")) for daemon in cell.daemons}
            held = len(saga.told("batch held"))
            await end()
            for daemon in cell.daemons:
                await daemon.until_told("job failed", times=before[daemon] + 1)
            # Orders keep coming to it; who had nothing in hand when the database went, has nothing to hold.
            await saga.until_told("batch held", times=held + 1)
            await own_postgres.start()
        await orders.until_placed(100)
    orders.assert_useful(share=0.5, number=100)
    assert all(daemon.running for daemon in cell.daemons)


async def test_a_daemon_told_to_stop_while_postgresql_is_away_stops_in_time(own_postgres, shared_servers, new_cell):
    cell = await new_cell(servers=shared_servers._replace(postgres_url=own_postgres.url), **PATIENT)
    market = await cell.market(agents=50, milk=50)
    orders = [market.order(milk=1) for _ in range(20)]
    await own_postgres.kill()
    placing = [asyncio.create_task(cell.client.place(order)) for order in orders]
    await cell.daemon("order_saga").until_told("batch held")
    for code, seconds in await asyncio.gather(*(daemon.terminate() for daemon in cell.daemons)):
        assert code == 0
        assert seconds < DRAIN_SECONDS
    await own_postgres.start()
    await cell.start()
    assert all(outcome["type"] == "OrderPlaced/1.0" for outcome in await asyncio.gather(*placing))


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
    assert (await cell.client.place(market.order(milk=1)))["type"] == "OrderPlaced/1.0"
    assert all(daemon.running for daemon in cell.daemons)
