"""New work is taken only while there is room for it, and answers are taken even then."""

import asyncio

import pytest

from messages.transport.broker import MANY_DOCUMENTS
from tests.unit.intake.place import ANSWERS, ORDERS, DatabaseIsDown, Place, bodies


async def test_new_work_waits_while_too_many_orders_are_undecided_and_answers_do_not(place: Place) -> None:
    intake = await place.open(limit=10)
    place.undecided = 10
    await place.say(ORDERS, "o1")
    assert await intake.take() == []
    taking = asyncio.create_task(intake.take())
    await place.say(ANSWERS, "a1")
    assert bodies(await asyncio.wait_for(taking, 60) or await intake.take()) == ["a1"]
    place.undecided = 9
    assert bodies(await intake.take()) == ["o1"]


async def test_only_as_much_new_work_is_taken_as_there_is_room_for(place: Place) -> None:
    intake = await place.open(limit=10)
    place.undecided = 7
    await place.say(ORDERS, "o1", "o2", "o3", "o4", "o5")
    assert bodies(await intake.take()) == ["o1", "o2", "o3"]
    place.undecided = 10
    assert await intake.take() == []
    place.undecided = 8
    assert bodies(await intake.take()) == ["o4", "o5"]


async def test_undecided_orders_are_counted_only_when_the_room_is_used_up(place: Place) -> None:
    intake = await place.open(limit=100)
    for number in range(100):
        await place.say(ORDERS, f"o{number}")
        await intake.take()
    assert place.counted == 1


@pytest.mark.parametrize("limit", [1, 2])
async def test_an_envelope_with_more_orders_than_there_is_room_for_is_taken_all_the_same(
    place: Place, limit: int
) -> None:
    intake = await place.open(limit=limit)
    await place.say(ORDERS, "1\n2\n3\n4", "5", content_type=MANY_DOCUMENTS)
    assert bodies(await intake.take()) == ["1\n2\n3\n4"]
    place.undecided = 4
    assert await intake.take() == []


async def test_a_full_house_is_looked_at_again_soon_and_not_all_the_time(place: Place) -> None:
    intake = await place.open(limit=1)
    place.undecided = 1
    await place.say(ORDERS, "o1")
    began = asyncio.get_running_loop().time()
    for _ in range(5):
        assert await intake.take() == []
    assert place.counted <= 5
    assert asyncio.get_running_loop().time() - began > 0.05


async def test_answers_are_not_lost_when_undecided_orders_cannot_be_counted(place: Place) -> None:
    intake = await place.open(limit=1)
    await place.say(ANSWERS, "a1")
    await place.say(ORDERS, "o1")
    place.database_is_down = True
    with pytest.raises(DatabaseIsDown):
        await intake.take()
    place.database_is_down = False
    assert bodies(await intake.take()) == ["a1", "o1"]
