"""A process that is stopped finishes what is in hand, leaves the rest, and loses nothing."""

import asyncio

import pytest

from messages.transport.daemon import housekeeping
from messages.transport.database.transactions import Transaction
from tests.integration.toy.faults import raising_in_postgres
from tests.integration.toy.service import bought
from tests.integration.toy.station import Station
from tests.integration.toy.waiting import reaches, until


async def test_a_batch_in_hand_is_finished_and_acknowledged_before_it_stops(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "LAST_WORD_SECONDS", 60.0)
    station.toy.gate.clear()
    await station.say(bought("in hand"))
    async with station.running() as running:
        await station.toy.entered.wait()
        running.stop.set()
        await asyncio.wait_for(running.process._consumer._stopping.wait(), 20)
        await station.say(bought("too late"))
        station.toy.gate.set()
        await asyncio.wait_for(running.task, 5)
    assert await station.heard() == ["in hand"]
    assert station.texts() == ["in hand"]
    assert await station.count("outbox") == 0
    assert [b'"too late"' in body for body in await station.left_in("toy.bought")] == [True]


async def test_a_stop_in_mid_retry_leaves_the_batch_to_be_delivered_again(station: Station) -> None:
    station.toy.faults.extend([raising_in_postgres("53300")] * 1_000)
    await station.say(bought("held"))
    async with station.running(drain_seconds=60.0) as running:
        await station.until(lambda: reaches(lambda: 998 - len(station.toy.faults), 2))
        running.stop.set()
        await asyncio.wait_for(running.task, 20)
    assert await station.heard() == []
    assert len(await station.left_in("toy.bought")) == 1


async def test_a_stop_while_orders_cannot_be_counted_is_no_error(station: Station) -> None:
    async def capacity(_tx: Transaction) -> int:
        raise TimeoutError

    station.toy.capacity = capacity
    await station.say(bought("order"))
    async with station.running() as running:
        await running.until_counted("batch_retries", 1, error="TimeoutError")
        (consuming,) = (task for task in asyncio.all_tasks() if task.get_name() == "consumer")
        running.stop.set()
        await asyncio.wait({consuming}, timeout=20)
        assert consuming.exception() is None
    assert len(await station.left_in("toy.bought")) == 1


async def test_an_idle_process_stops_at_once(station: Station) -> None:
    async with station.running(drain_seconds=60.0) as running:
        await running.ready()
        running.stop.set()
        await asyncio.wait_for(running.task, 20)


async def test_a_stop_at_any_moment_loses_nothing(station: Station) -> None:
    for round_number in range(12):
        await station.say(*(bought(f"{round_number}-{number}") for number in range(20)))
        async with station.running(batch_documents=7):
            await asyncio.sleep(round_number * 0.007)
    async with station.running():
        await until(lambda: _distinct(station, 240))
    await station.until_told(240)
    assert await station.parked() == []
    assert set(station.texts()) == set(await station.heard())


async def _distinct(station: Station, number: int) -> bool:
    ((count,),) = await station.rows("SELECT count(DISTINCT text) FROM heard")
    return bool(count == number)
