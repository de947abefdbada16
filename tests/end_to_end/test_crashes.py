"""Daemons are killed, paused and stopped while orders keep coming: nothing is lost, nothing promised twice."""

import asyncio
import random
import time

import asyncpg
import pytest

from store_worker.goods import ADVISORY_LOCK
from tests.end_to_end.cell import Cell
from tests.end_to_end.daemons import DRAIN_SECONDS, SERVICES
from tests.end_to_end.load import PRIORITIZED, ROUND_ROBIN, load
from tests.end_to_end.waiting import until

A_SECOND_OR_SO = (0.2, 1.5)
CONNECTIONS = {service: 3 if service == "order_saga" else 2 for service in SERVICES}
"""Of one daemon, once the saga has published an outcome."""

WAITING = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
NOBODY_HOLDS = """SELECT WHERE NOT EXISTS (
    SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database
    WHERE datname = current_database() AND locktype = 'advisory' AND classid::bigint << 32 | objid::bigint = $1)"""


async def test_daemons_killed_at_random_times_under_load_lose_nothing(new_cell):
    cell = await new_cell()
    async with load(cell) as orders:
        for _ in range(3):
            for daemon in random.sample(cell.daemons, k=3):
                await asyncio.sleep(random.uniform(*A_SECOND_OR_SO))
                await daemon.kill()
                await daemon.start()
    orders.assert_useful(share=0.5, number=100)


async def test_daemons_killed_all_at_once_under_load_lose_nothing(new_cell):
    cell = await new_cell()
    async with load(cell) as orders:
        for _ in range(3):
            await asyncio.sleep(random.uniform(*A_SECOND_OR_SO))
            await asyncio.gather(*(daemon.kill() for daemon in cell.daemons))
            await cell.start()
    orders.assert_useful(share=0.5, number=50)


@pytest.mark.parametrize("consumers", [PRIORITIZED, ROUND_ROBIN], ids=["prioritized", "round robin"])
async def test_of_two_daemons_of_each_any_may_be_killed_under_load(new_cell, consumers):
    cell = await new_cell(of_each=2, **consumers)
    async with load(cell) as orders:
        for daemon in random.sample(cell.daemons, k=len(cell.daemons)):
            await asyncio.sleep(random.uniform(*A_SECOND_OR_SO))
            await daemon.kill()
            await daemon.start()
    orders.assert_useful(share=0.5, number=50)


async def test_a_daemon_that_stood_still_while_another_took_its_work_does_no_harm_when_it_wakes_up(new_cell):
    cell = await new_cell(of_each=2, **ROUND_ROBIN)
    async with load(cell) as orders:
        for service in SERVICES:
            sleeper = next(daemon for daemon in cell.daemons if daemon.service == service)
            connections = await connections_of_both(cell, service)
            with sleeper.paused():
                await asyncio.gather(*map(cell.close_connection, connections))
                await asyncio.sleep(random.uniform(*A_SECOND_OR_SO))
            await sleeper.until_told("broker connection lost", times=CONNECTIONS[service])
            await sleeper.ready()
    orders.assert_useful(share=0.5, number=50)


async def test_a_daemon_that_stands_still_in_mid_batch_holds_up_the_next_one_for_less_than_half_a_minute(new_cell):
    cell = await new_cell()
    market = await cell.market(agents=9, milk=9)
    goods = await asyncpg.connect(cell.databases["store_worker"])
    await goods.execute("SELECT pg_advisory_lock($1)", ADVISORY_LOCK)
    await cell.client.say(next(market.stocking()))
    await cell.until_rows("store_worker", WAITING)
    with cell.daemon("store_worker").paused():
        await goods.close()  # what it waited for is its own now
        began = time.monotonic()
        await cell.hire_one("store_worker", "heir").start()
        await cell.client.say(next(market.stocking()))
        outcome = await cell.client.place(market.order(milk=1))
        assert outcome["type"] == "OrderPlaced", "it had to wait past its deadline, in a minute"
        await cell.until_rows("store_worker", NOBODY_HOLDS, ADVISORY_LOCK)
        assert time.monotonic() - began < 30


async def test_a_daemon_told_to_stop_under_load_finishes_in_time_and_loses_nothing(new_cell):
    cell = await new_cell()
    async with load(cell) as orders:
        for _ in range(2):
            for daemon in random.sample(cell.daemons, k=3):
                await asyncio.sleep(random.uniform(*A_SECOND_OR_SO))
                code, seconds = await daemon.terminate()
                assert code == 0
                assert seconds < DRAIN_SECONDS
                await daemon.start()
    orders.assert_useful(share=0.5, number=100)
    for daemon in cell.daemons:
        assert len(daemon.told("draining")) == len(daemon.told("stopped")) == 2


async def connections_of_both(cell: Cell, service: str) -> list[str]:
    found: list[str] = []

    async def are_all() -> bool:
        found[:] = await cell.connections_of(service)
        return len(found) == 2 * CONNECTIONS[service]

    await until(are_all, f"the broker lists all connections of {service}")
    return found
