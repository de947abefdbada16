"""While a batch does not come to an end, what comes is left to others, and afterwards nothing is slept over."""

import asyncio

import pytest
from structlog.testing import capture_logs

from messages.transport.batches import stall_guard
from tests.unit.intake.place import ANSWERS, ORDERS, REPORTS, DatabaseIsDown, Place, bodies, until

HELD_SECONDS = 0.01


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is held for long sooner than in earnest."""
    monkeypatch.setattr(stall_guard, "HELD_SECONDS", HELD_SECONDS)


@pytest.mark.usefixtures("soon")
async def test_while_a_batch_does_not_come_to_an_end_what_comes_is_left_to_others(place: Place) -> None:
    intake = await place.open()
    await place.say(ANSWERS, "a1")
    await place.say(ORDERS, "o1")
    batch = await intake.take()
    await until(place.consumes_nothing)
    assert intake.paused
    await place.say(ANSWERS, "a2")
    await place.say(ORDERS, "o2")
    await place.say(REPORTS, "r1")
    assert dict(intake.waiting()) == {ANSWERS: 0, ORDERS: 0, REPORTS: 0}
    await intake.acknowledge(batch)
    assert not intake.paused
    assert [bodies(await intake.take()) for _ in range(2)] == [["a2", "o2"], ["r1"]]


@pytest.mark.usefixtures("soon")
async def test_a_batch_is_seen_to_be_stuck_after_others_that_were_not_and_though_new_work_waits(place: Place) -> None:
    intake = await place.open(documents=1)
    await place.say(ORDERS, "o1", "o2", "o3")
    await intake.acknowledge(await intake.take())
    assert bodies(await intake.take()) == ["o2"]
    await until(lambda: intake.paused)


@pytest.mark.usefixtures("soon")
async def test_a_queue_that_cannot_be_left_keeps_no_other_from_being_left_or_taken_up_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = await place.open()
    answers, *others = place.broker._subscriptions
    answered = asyncio.Event()
    for method in ("pause", "resume"):
        monkeypatch.setattr(answers, method, answered.wait)
    intake.expect_progress()
    await until(lambda: all(each._paused for each in others))
    answered.set()
    answered.clear()
    going_on = asyncio.create_task(intake.acknowledge([]))
    await until(lambda: not any(each._paused for each in others))
    answered.set()
    await going_on


@pytest.mark.usefixtures("soon")
async def test_a_queue_is_taken_up_again_only_once_it_is_left(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """RabbitMQ may take its time, and in the other order nothing would ever come again."""
    intake = await place.open()
    answers, *_ = place.broker._subscriptions
    answered, done = asyncio.Event(), list[str]()

    async def pause() -> None:
        await answered.wait()
        done.append("left")

    async def resume() -> None:
        done.append("taken up")

    monkeypatch.setattr(answers, "pause", pause)
    monkeypatch.setattr(answers, "resume", resume)
    intake.expect_progress()
    await until(lambda: intake.paused)
    going_on = asyncio.create_task(intake.acknowledge([]))
    await asyncio.sleep(0.01)
    answered.set()
    await going_on
    assert done == ["left", "taken up"]


@pytest.mark.usefixtures("soon")
async def test_while_room_cannot_be_counted_what_comes_is_left_to_others(place: Place) -> None:
    intake = await place.open(limit=10)
    place.database_is_down = True
    await place.say(ORDERS, "o1")
    while not place.consumes_nothing():
        with pytest.raises(DatabaseIsDown):
            await intake.take()
        await asyncio.sleep(0.001)
    await place.say(ORDERS, "o2")
    place.database_is_down = False
    batch = await intake.take()
    assert bodies(batch) == ["o1"]
    await intake.acknowledge(batch)
    assert bodies(await intake.take()) == ["o2"]


@pytest.mark.usefixtures("soon")
async def test_a_full_house_hears_the_answers_that_empty_it(place: Place) -> None:
    intake = await place.open(limit=1)
    place.undecided = 1
    await place.say(ORDERS, "o1")
    for _ in range(5):
        assert await intake.take() == []
    assert not intake.paused


@pytest.mark.usefixtures("soon")
async def test_who_stands_by_and_has_lost_what_he_had_does_not_wait_for_ever(place: Place) -> None:
    intake = await place.open(limit=10)
    place.database_is_down = True
    await place.say(ORDERS, "o1")
    with pytest.raises(DatabaseIsDown):
        await intake.take()
    await until(place.consumes_nothing)
    place.lose_consumer(1)
    place.database_is_down = False
    assert bodies(await asyncio.wait_for(intake.take(), 60)) == ["o1"]


@pytest.mark.usefixtures("soon")
async def test_who_is_paused_is_not_paused_again(place: Place) -> None:
    intake = await place.open()
    with capture_logs() as logs:
        for _ in range(2):
            intake.expect_progress()
            await until(lambda: intake.paused)
            await asyncio.sleep(5 * HELD_SECONDS)
    assert len(logs) == 1


@pytest.mark.usefixtures("soon")
async def test_nobody_stands_by_who_waits_for_something_to_come(place: Place) -> None:
    intake = await place.open()
    taking = asyncio.create_task(intake.take())
    await asyncio.sleep(5 * HELD_SECONDS)
    intake.wake()
    assert await asyncio.wait_for(taking, 60) == []
    await asyncio.sleep(5 * HELD_SECONDS)
    assert not intake.paused


@pytest.mark.usefixtures("soon")
async def test_progress_that_was_expected_twice_is_made_once(place: Place) -> None:
    intake = await place.open()
    for _ in range(2):
        intake.expect_progress()
    await intake.acknowledge([])
    await asyncio.sleep(5 * HELD_SECONDS)
    assert not intake.paused


@pytest.mark.usefixtures("soon")
async def test_who_is_stopped_does_not_stand_by(place: Place) -> None:
    intake = await place.open()
    intake.expect_progress()
    await intake.stop()
    await asyncio.sleep(5 * HELD_SECONDS)
    assert not intake.paused


@pytest.mark.usefixtures("soon")
async def test_what_comes_while_everything_begins_to_come_again_is_not_slept_over(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = await place.open()
    intake.expect_progress()
    await until(place.consumes_nothing)
    await place.say(ANSWERS, "a1")
    _, orders, _ = place.broker._subscriptions

    async def resume() -> None:
        await asyncio.sleep(0.01)  # RabbitMQ takes a round trip for each queue

    monkeypatch.setattr(orders, "resume", resume)
    assert bodies(await asyncio.wait_for(intake.take(), 60)) == ["a1"]
