"""An answer that comes within a moment is taken beside what was taken, within the same caps."""

import asyncio

from tests.unit.intake.place import ANSWERS, ORDERS, Place, bodies


async def test_an_answer_that_comes_within_a_moment_is_taken_beside_what_was_taken(place: Place) -> None:
    intake = await place.open(documents=2)
    await place.say(ANSWERS, "a1")
    batch = await intake.take()
    coming = asyncio.create_task(intake.more(3_600.0, batch))
    await asyncio.sleep(0)
    await place.say(ORDERS, "o1")
    assert await coming == [], "new work is none, and is not taken"
    await place.say(ANSWERS, "a2", "a3")
    assert bodies(await intake.more(3_600.0, batch)) == ["a2"]
    assert bodies(await intake.take()) == ["a3", "o1"]


async def test_nothing_is_taken_beside_what_uses_up_the_bytes_of_a_batch(place: Place) -> None:
    intake = await place.open(size_bytes=10)
    await place.say(ANSWERS, "12345678")
    batch = await intake.take()
    await place.say(ANSWERS, "abc")
    assert await intake.more(0.01, batch) == []
    assert bodies(await intake.take()) == ["abc"]


async def test_nobody_waits_for_longer_than_a_moment(place: Place) -> None:
    intake = await place.open()
    assert await asyncio.wait_for(intake.more(0.01, []), 60) == []
