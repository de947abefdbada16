"""Daemons are killed, paused and stopped while orders keep coming: nothing is lost, nothing promised twice."""

import asyncio
import random

import pytest

from tests.end_to_end.cell import Cell
from tests.end_to_end.daemons import DRAIN_SECONDS, SERVICES
from tests.end_to_end.load import PATIENT, PRIORITIZED, ROUND_ROBIN, load
from tests.end_to_end.waiting import until

A_SECOND_OR_SO = (0.2, 1.5)
CONNECTIONS = {service: 3 if service == "order_saga" else 2 for service in SERVICES}
"""Of one daemon, once the saga has published an outcome."""


async def test_daemons_killed_at_random_times_under_load_lose_nothing(new_cell):
    cell = await new_cell(**PATIENT)
    async with load(cell) as orders:
        for _ in range(3):
            for daemon in random.sample(cell.daemons, k=3):
                await asyncio.sleep(random.uniform(*A_SECOND_OR_SO))
                await daemon.kill()
                await daemon.start()
    orders.assert_useful(share=0.5, number=100)


async def test_daemons_killed_all_at_once_under_load_lose_nothing(new_cell):
    cell = await new_cell(**PATIENT)
    async with load(cell) as orders:
        for _ in range(3):
            await asyncio.sleep(random.uniform(*A_SECOND_OR_SO))
            await asyncio.gather(*(daemon.kill() for daemon in cell.daemons))
            await cell.start()
    orders.assert_useful(share=0.5, number=50)


@pytest.mark.parametrize("consumers", [PRIORITIZED, ROUND_ROBIN], ids=["prioritized", "round robin"])
async def test_of_two_daemons_of_each_any_may_be_killed_under_load(new_cell, consumers):
    cell = await new_cell(of_each=2, **PATIENT, **consumers)
    async with load(cell) as orders:
        for daemon in random.sample(cell.daemons, k=len(cell.daemons)):
            await asyncio.sleep(random.uniform(*A_SECOND_OR_SO))
            await daemon.kill()
            await daemon.start()
    orders.assert_useful(share=0.5, number=50)


async def test_a_daemon_that_stood_still_while_another_took_its_work_does_no_harm_when_it_wakes_up(new_cell):
    cell = await new_cell(of_each=2, **PATIENT, **ROUND_ROBIN)
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


async def test_a_daemon_told_to_stop_under_load_finishes_in_time_and_loses_nothing(new_cell):
    cell = await new_cell(**PATIENT)
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
    async def found() -> bool:
        return len(await cell.connections_of(service)) == 2 * CONNECTIONS[service]

    await until(found, f"the broker lists all connections of {service}")
    return await cell.connections_of(service)
