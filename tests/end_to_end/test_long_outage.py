"""Five minutes without PostgreSQL, with orders under way and more to come."""

import asyncio
import time

import pytest

from tests.end_to_end.market import Market
from tests.end_to_end.verdict import reasons

OUTAGE_SECONDS = 300.0
PATIENCE_SECONDS = OUTAGE_SECONDS + 300.0


@pytest.mark.timeout(OUTAGE_SECONDS + 600)
async def test_five_minutes_without_postgresql_lose_nothing_and_park_nothing(own_postgres, shared_servers, new_cell):
    cell = await new_cell(shared_servers._replace(postgres_url=own_postgres.url))
    market = await cell.market(agents=200, milk=200)
    before = await asyncio.gather(*(cell.client.place(market.order(milk=1)) for _ in range(20)))
    assert reasons(before) == {"placed": 20}
    processes = [daemon.pid for daemon in cell.daemons]

    under_way = [asyncio.create_task(cell.client.place(market.order(milk=1), PATIENCE_SECONDS)) for _ in range(40)]
    await own_postgres.kill()
    killed_at = time.monotonic()
    # Every daemon has something in hand that it cannot get rid of.
    cell.markets.append(Market.of(1, {"milk": 1}))
    await asyncio.gather(*map(cell.client.say, cell.markets[-1].stocking()))
    during = [asyncio.create_task(cell.client.place(market.order(milk=1), PATIENCE_SECONDS)) for _ in range(60)]
    await asyncio.sleep(OUTAGE_SECONDS)
    await own_postgres.start()
    assert time.monotonic() - killed_at >= OUTAGE_SECONDS

    after = await asyncio.gather(*under_way, *during)
    assert reasons(after)["placed"] >= 60
    held = {daemon.service: len(daemon.told("batch failed, retrying")) for daemon in cell.daemons}
    assert all(times >= 10 for times in held.values()), held
    assert [daemon.pid for daemon in cell.daemons if daemon.running] == processes
