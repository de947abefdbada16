"""A batch takes answers before new work, within the caps, and does not wait until it is full."""

import asyncio

import pytest

from messages.transport.batches.intake import Intake
from messages.transport.broker import MANY_DOCUMENTS
from tests.unit.intake.place import ANSWERS, MANY, ORDERS, REPORTS, Place, bodies


async def test_answers_are_taken_before_new_work(place: Place) -> None:
    intake = await place.open()
    await place.say(ORDERS, "order 1", "order 2")
    await place.say(ANSWERS, "answer 1", "answer 2")
    assert bodies(await intake.take()) == ["answer 1", "answer 2", "order 1", "order 2"]


async def test_when_it_is_quiet_one_document_is_taken_as_soon_as_it_comes(place: Place) -> None:
    intake = await place.open()
    taking = asyncio.create_task(intake.take())
    await asyncio.sleep(0)
    assert not taking.done()
    await place.say(ORDERS, "order 1")
    assert bodies(await asyncio.wait_for(taking, 60)) == ["order 1"]


async def test_when_all_has_been_taken_the_next_is_waited_for(place: Place) -> None:
    intake = await place.open()
    await place.say(ANSWERS, "a1")
    await intake.take()
    taking = asyncio.create_task(intake.take())
    await asyncio.sleep(0.01)
    assert not taking.done()
    await place.say(ANSWERS, "a2")
    assert bodies(await asyncio.wait_for(taking, 60)) == ["a2"]


async def test_waiting_for_a_document_can_be_ended(place: Place) -> None:
    intake = await place.open()
    taking = asyncio.create_task(intake.take())
    await asyncio.sleep(0)
    intake.wake()
    assert await asyncio.wait_for(taking, 60) == []


@pytest.mark.parametrize("limit", [None, MANY])
async def test_a_batch_is_capped_in_documents(place: Place, limit: int | None) -> None:
    intake = await place.open(documents=5, limit=limit)
    await place.say(ANSWERS, "a1\na2", "a3", content_type=MANY_DOCUMENTS)
    await place.say(ORDERS, "o1", "o2\no3", content_type=MANY_DOCUMENTS)
    assert bodies(await intake.take()) == ["a1\na2", "a3", "o1"]
    assert bodies(await intake.take()) == ["o2\no3"]


async def test_a_batch_is_capped_in_bytes(place: Place) -> None:
    intake = await place.open(size_bytes=10)
    await place.say(ANSWERS, "aaaa")
    await place.say(ORDERS, "bbbb", "cccc")
    assert bodies(await intake.take()) == ["aaaa", "bbbb"]
    assert bodies(await intake.take()) == ["cccc"]


@pytest.mark.parametrize("queue", [ANSWERS, ORDERS])
async def test_an_arrival_larger_than_a_batch_is_taken_alone(place: Place, queue: str) -> None:
    intake = await place.open(documents=2, size_bytes=5)
    for body in ("x", "1\n2\n3", "xxxxxxxx", "y"):
        await place.say(queue, body, content_type=MANY_DOCUMENTS)
    assert [bodies(await intake.take()) for _ in range(4)] == [["x"], ["1\n2\n3"], ["xxxxxxxx"], ["y"]]


async def test_the_lines_of_a_single_document_are_not_counted_as_documents(place: Place) -> None:
    intake = await place.open(documents=2, limit=2)
    await place.say(ORDERS, "{\n\n\n}", "{}")
    assert len(await intake.take()) == 2


async def test_answers_that_fill_a_batch_leave_no_room_for_new_work(place: Place) -> None:
    intake = await place.open(documents=2)
    await place.say(ORDERS, "o1")
    await place.say(ANSWERS, "a1", "a2", "a3", "a4")
    assert [bodies(await intake.take()) for _ in range(3)] == [["a1", "a2"], ["a3", "a4"], ["o1"]]


async def test_it_is_quiet_while_no_answer_waits(place: Place) -> None:
    intake = place.intake = Intake(batch_documents=1, batch_bytes=1)
    assert intake.quiet
    await place.open()
    await place.say(ORDERS, "o1")
    assert place.intake.quiet
    await place.say(ANSWERS, "a1")
    assert not place.intake.quiet
    assert dict(place.intake.waiting()) == {ANSWERS: 1, ORDERS: 1, REPORTS: 0}


async def test_a_stopped_intake_takes_no_more(place: Place) -> None:
    intake = await place.open()
    await intake.stop()
    await place.say(ANSWERS, "a1")
    await place.say(ORDERS, "o1")
    await place.say(REPORTS, "r1")
    assert list(intake.waiting()) == [(ANSWERS, 0), (ORDERS, 0), (REPORTS, 0)]
