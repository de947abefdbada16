"""Reports are taken by themselves, a few at a time, in the time that all else leaves, and in a tenth of it at least."""

import asyncio

import pytest

from messages.transport.batches import reports
from messages.transport.batches.reports import LONGEST_REST_SECONDS, REST
from tests.unit.intake.place import ANSWERS, ORDERS, REPORTS, Place, bodies


async def test_reports_are_taken_when_nothing_else_has_arrived_and_by_themselves(place: Place) -> None:
    intake = await place.open()
    taking = asyncio.create_task(intake.take())
    await asyncio.sleep(0)
    await place.say(REPORTS, "r1", "r2")
    assert bodies(await asyncio.wait_for(taking, 60)) == ["r1", "r2"]
    await place.say(REPORTS, "r3")
    await place.say(ORDERS, "o1")
    await place.say(ANSWERS, "a1")
    assert [bodies(await intake.take()) for _ in range(2)] == [["a1", "o1"], ["r3"]]


async def test_a_batch_of_reports_is_small(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "DOCUMENTS", 3)
    monkeypatch.setattr(reports, "SIZE_BYTES", 6)
    intake = await place.open()
    await place.say(REPORTS, "1", "2", "3", "4444", "55", "6", "7777777", "8")
    batches = [bodies(await intake.take()) for _ in range(5)]
    assert batches == [["1", "2", "3"], ["4444", "55"], ["6"], ["7777777"], ["8"]]


async def test_while_other_work_never_ends_reports_rest_nine_times_as_long_as_they_took(
    place: Place,
) -> None:
    intake = await place.open()
    await place.say(REPORTS, *(f"r{number}" for number in range(reports.DOCUMENTS * 3)))
    taken: list[str] = []
    for number in range(50):
        await place.say(ANSWERS, f"a{number}")
        batch = await intake.take()
        taken.append(bodies(batch)[0][0])
        place.clock.now += 0.1 if taken[-1] == "a" else 0.05
        await intake.acknowledge(batch)
    told = "".join(taken)
    first = round(LONGEST_REST_SECONDS / 0.1)
    between = -(-round(REST * 0.05 * 100) // 10)  # batches of 0.1 s
    assert told.startswith("a" * first + "r" + "a" * between + "r" + "a" * between + "r" + "a")
    assert told.count("r") == 3


async def test_reports_rest_no_longer_than_a_second_however_long_they_took(place: Place) -> None:
    intake = await place.open()
    await place.say(REPORTS, "r1")
    batch = await intake.take()
    place.clock.now += 60.0
    await intake.acknowledge(batch)
    await place.say(REPORTS, "r2")
    await place.say(ORDERS, "o1")
    assert bodies(await intake.take()) == ["o1"]
    await place.say(ORDERS, "o2")
    place.clock.now += LONGEST_REST_SECONDS
    assert bodies(await intake.take()) == ["r2"]


async def test_what_kills_its_consumer_among_reports_does_not_come_first_after_each_start(place: Place) -> None:
    intake = await place.open()
    await place.say(REPORTS, "killer")
    place.lose_consumer(3)
    await place.say(ANSWERS, "a1")
    await place.say(ORDERS, "o1")
    assert [bodies(await intake.take()) for _ in range(2)] == [["a1", "o1"], ["killer"]]


async def test_reports_are_taken_while_no_new_work_may_begin(place: Place) -> None:
    intake = await place.open(limit=1)
    place.undecided = 1
    await place.say(ORDERS, "o1")
    await place.say(REPORTS, "r1")
    assert await intake.take() == []
    place.clock.now += LONGEST_REST_SECONDS
    assert bodies(await intake.take()) == ["r1"]
