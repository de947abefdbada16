"""What was taken is acknowledged, a few batches together, in time, and nothing after it."""

import asyncio

import pytest

from messages.transport.batches import acknowledging
from tests.unit.intake.place import ANSWERS, ORDERS, Place, bodies, until


@pytest.fixture
def not_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is owed stays owed, for as long as a test can take."""
    monkeypatch.setattr(acknowledging, "ACKNOWLEDGE_SECONDS", 3_600.0)


async def test_acknowledged_is_what_was_taken_and_nothing_after_it(place: Place) -> None:
    intake = await place.open(documents=3)
    await place.say(ANSWERS, "a1", "a2")
    await place.say(ORDERS, "o1", "o2")
    batch = await intake.take()
    assert bodies(batch) == ["a1", "a2", "o1"]
    assert await place.acknowledge_and_lose_consumer(batch) == ["o2"]


@pytest.mark.usefixtures("not_by_itself")
async def test_a_few_batches_are_acknowledged_together(place: Place) -> None:
    intake = await place.open()
    told = place.watch_acknowledgements()
    for body in ("a1", "a2", "a3"):
        await place.say(ANSWERS, body)
        await intake.acknowledge(await intake.take())
    assert told == []
    await intake.acknowledge_all()
    assert told == ["a3"]


async def test_what_is_owed_is_acknowledged_a_moment_later(place: Place) -> None:
    intake = await place.open()
    told = place.watch_acknowledgements()
    for number in (1, 2):
        await place.say(ANSWERS, f"a{number}")
        await intake.acknowledge(await intake.take())
        await until(lambda owed=number: len(told) == owed)  # type: ignore[misc]
    assert told == ["a1", "a2"]


async def test_what_is_owed_after_all_was_acknowledged_is_acknowledged_a_moment_later_too(place: Place) -> None:
    intake = await place.open()
    told = place.watch_acknowledgements()
    await place.say(ANSWERS, "a1")
    await intake.acknowledge(await intake.take())
    await intake.acknowledge_all()
    await place.say(ANSWERS, "a2")
    await intake.acknowledge(await intake.take())
    await until(lambda: told == ["a1", "a2"])


@pytest.mark.usefixtures("not_by_itself")
async def test_a_broker_that_may_deliver_no_more_is_not_kept_waiting(place: Place) -> None:
    intake = await place.open(prefetch=8)
    told = place.watch_acknowledgements()
    for body in ("a1", "a2", "a3"):
        await place.say(ANSWERS, body)
        await intake.acknowledge(await intake.take())
    assert told == ["a2"]
    await intake.acknowledge_all()
    assert told == ["a2", "a3"]


async def test_what_came_before_a_lost_connection_is_not_acknowledged_on_the_next(place: Place) -> None:
    intake = await place.open(documents=1)
    await place.say(ANSWERS, "a1", "a2")
    batch = await intake.take()
    place.broker.break_connection()
    assert await place.acknowledge_and_lose_consumer(batch) == ["a1"]


@pytest.mark.usefixtures("not_by_itself")
async def test_what_was_taken_alone_is_acknowledged_at_once(place: Place) -> None:
    intake = await place.open()
    told = place.watch_acknowledgements()
    await place.say(ORDERS, "o1")
    place.lose_consumer(3)
    await intake.acknowledge(await intake.take())
    assert told == ["o1"]


@pytest.mark.usefixtures("not_by_itself")
async def test_what_was_handled_is_acknowledged_before_something_that_may_kill_is_taken(place: Place) -> None:
    intake = await place.open()
    told = place.watch_acknowledgements()
    await place.say(ORDERS, "killer")
    place.lose_consumer(3)
    await place.say(ANSWERS, "handled")
    await intake.acknowledge(await intake.take())
    assert told == []
    assert bodies(await intake.take()) == ["killer"]
    assert told == ["handled"]


@pytest.mark.usefixtures("not_by_itself")
async def test_once_all_is_acknowledged_nobody_waits_to_do_so(place: Place) -> None:
    intake = await place.open()
    before = asyncio.all_tasks()
    for body in ("a1", "a2", "a3"):
        await place.say(ANSWERS, body)
        await intake.acknowledge(await intake.take())
    await intake.acknowledge_all()
    await until(lambda: asyncio.all_tasks() == before)
