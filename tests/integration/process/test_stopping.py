"""A process that is stopped drains, in time, whatever it waits for."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from messages.transport.batches import pacing
from messages.transport.daemon import housekeeping
from messages.transport.database.transactions import Transaction
from tests.integration.network import Network
from tests.integration.toy.service import bought
from tests.integration.toy.station import Station
from tests.integration.toy.waiting import until


async def test_a_process_that_waits_for_its_database_stops_at_once(station: Station, network: Network) -> None:
    await network.unplug()
    with capture_logs() as logs:
        async with station.running(database_url=network.url, drain_seconds=60.0) as running:
            await until(lambda: _is_waiting_for_postgresql(logs))
            running.stop.set()
            await asyncio.wait_for(running.task, 20)


async def test_a_stop_drains_and_leaves_nothing_open(own_station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "LAST_WORD_SECONDS", 60.0)
    ours = "pg_stat_activity WHERE datname = current_database() AND application_name = 'toy'"
    async with own_station.running() as running:
        await own_station.say(*(bought(str(number)) for number in range(50)))
        await own_station.until_heard(50)
        assert await own_station.count(ours) > 0
        running.stop.set()
        await asyncio.wait_for(running.task, 15)
    assert len(own_station.texts()) == 50
    assert await own_station.count("outbox") == 0
    await own_station.until_count(ours, 0)


async def test_a_silent_database_does_not_keep_a_process_from_stopping_in_time(
    station: Station, network: Network
) -> None:
    async with station.running(database_url=network.url, drain_seconds=1.0) as running:
        await running.ready()
        network.freeze()
        await station.say(bought("a"))
        await asyncio.sleep(0.1)
        running.stop.set()
        await asyncio.wait_for(running.task, 15)
        network.thaw()
    assert await station.heard() == []
    assert len(await station.left_in("toy.bought")) == 1


async def test_a_process_that_lets_new_work_wait_stops_all_the_same(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "LONGEST_SECONDS", 60.0)
    monkeypatch.setattr(pacing, "APART", 60.0)

    async def capacity(_tx: Transaction) -> int:
        return 1_000

    station.toy.capacity = capacity
    async with station.running(drain_seconds=30.0) as running:
        await running.ready()
        await station.say_together(*(bought(str(number)) for number in range(200)))
        await station.until_heard(200)
        await station.say(bought("too soon"))
        running.stop.set()
        await asyncio.wait_for(running.task, 15)
    assert len(await station.heard()) == 200
    assert len(await station.left_in("toy.bought")) == 1


async def test_a_cancelled_process_drains_too(station: Station) -> None:
    async with own_task(station) as running:
        await running.ready()
        await station.say(bought("a"))
        await station.until_heard(1)
        running.task.cancel()
        await asyncio.gather(running.task, return_exceptions=True)
    assert station.texts() == ["a"]


@asynccontextmanager
async def own_task(station: Station) -> AsyncIterator[Any]:
    with_cancelled = station.running()
    running = await with_cancelled.__aenter__()
    try:
        yield running
    finally:
        with pytest.raises(asyncio.CancelledError):
            await with_cancelled.__aexit__(None, None, None)


async def _is_waiting_for_postgresql(logs: Sequence[Mapping[str, object]]) -> bool:
    return "waiting for PostgreSQL" in [line["event"] for line in logs]
