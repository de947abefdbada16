"""A process that stops waits for confirms, but not for ever."""

import asyncio

import pytest

from messages.transport.daemon import housekeeping
from tests.integration.publisher.moody import QUICK_RELAY, SAY_ONCE, Moody
from tests.integration.toy.service import TELL_ELSEWHERE, bought
from tests.integration.toy.station import Station
from tests.integration.toy.waiting import true, until


async def test_a_process_that_waits_for_confirms_stops_in_time_and_leaves_the_rest_to_a_relay(
    station: Station, moody: Moody
) -> None:
    moody.down = True
    async with station.running(moody, unconfirmed_rows=1, drain_seconds=1.0, **QUICK_RELAY) as running:
        await station.say(bought("a", TELL_ELSEWHERE), bought("b", TELL_ELSEWHERE))
        await station.until_heard(2)
        await station.say(bought("c"))
        running.stop.set()
        await asyncio.wait_for(running.task, 15)
    calls = len(moody.calls)
    assert await station.count("outbox") == 2
    async with station.running(**SAY_ONCE):
        await station.until_told(3)
    assert len(moody.calls) == calls
    assert sorted(station.texts()) == ["a", "b", "c"]


async def test_a_stopping_process_waits_for_confirms_that_come(
    station: Station, moody: Moody, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "LAST_WORD_SECONDS", 60.0)
    moody.down = True
    async with station.running(moody, drain_seconds=60.0) as running:
        await station.say(bought("a"))
        await station.until_heard(1)
        running.stop.set()
        await until(lambda: true(len(moody.calls) > 1))
        moody.down = False
        await running.task
    assert station.texts() == ["a"]
    assert await station.count("outbox") == 0


async def test_a_stopping_process_that_can_publish_again_takes_no_more_work(station: Station, moody: Moody) -> None:
    async def has_arrived() -> bool:
        return dict(running.process._intake.waiting())["toy.bought"] == 1

    moody.down = True
    async with station.running(moody, unconfirmed_rows=1) as running:
        await station.say(bought("a"))
        await station.until_heard(1)
        await station.say(bought("b"))
        await until(has_arrived)
        running.stop.set()
        await asyncio.wait_for(running.process._consumer._stopping.wait(), 20)
        moody.down = False
    assert await station.heard() == ["a"]
    assert len(await station.left_in("toy.bought")) == 1
