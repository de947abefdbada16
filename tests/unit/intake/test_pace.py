"""New work waits for its time, and answers do not."""

import asyncio

import pytest

from messages.transport.batches import pacing
from messages.transport.batches.pacing import LONGEST_SECONDS, Pace
from tests.unit.intake.place import ANSWERS, MANY, ORDERS, Clock, Place, bodies


async def test_new_work_waits_for_its_time_and_answers_do_not(place: Place) -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.begin(MANY)
    intake = await place.open(pace=pace)
    await place.say(ORDERS, "o1")
    assert await intake.take() == []
    await place.say(ANSWERS, "a1")
    assert bodies(await intake.take()) == ["a1"]
    clock.now += LONGEST_SECONDS
    assert bodies(await intake.take()) == ["o1"]


async def test_what_has_begun_is_what_the_next_waits_for(place: Place) -> None:
    clock = Clock()
    intake = await place.open(pace=Pace(clock), size_bytes=1_000_000)
    await place.say(ANSWERS, *(f"a{number}" for number in range(400)))
    assert len(await intake.take()) == 400
    await place.say(ORDERS, *(f"o{number}" for number in range(400)))
    assert len(await intake.take()) == 400
    await place.say(ORDERS, "next")
    assert await intake.take() == []
    clock.now += LONGEST_SECONDS
    assert bodies(await intake.take()) == ["next"]


async def test_who_waits_until_new_work_may_begin_can_be_woken(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "LONGEST_SECONDS", 60.0)
    pace = Pace()
    pace.begin(1_000_000)
    intake = await place.open(pace=pace)
    await place.say(ORDERS, "o1")
    taking = asyncio.create_task(intake.take())
    await asyncio.sleep(0)
    intake.wake()
    assert await asyncio.wait_for(taking, 60) == []
