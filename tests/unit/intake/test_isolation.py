"""What may kill its consumer is taken alone, so that it takes nothing with it."""

import asyncio
from dataclasses import replace
from itertools import permutations

import pytest

from tests.unit.intake.place import ANSWERS, DELIVERY_LIMIT, ORDERS, REPORTS, Place, bodies

POISON = "poison"


async def test_what_was_redelivered_more_than_twice_is_taken_alone(place: Place) -> None:
    intake = await place.open()
    await place.say(ANSWERS, "a1", "a2")
    await place.say(ORDERS, "o1", "o2")
    place.lose_consumer(2)
    batch = await intake.take()
    assert (bodies(batch), {taken.arrival.failures for taken in batch}) == (["a1", "a2", "o1", "o2"], {2})
    place.lose_consumer(1)
    await place.say(ANSWERS, "a3")
    await place.say(ORDERS, "o3")
    batches: list[list[str]] = []
    while sum(map(len, batches)) < 6:
        batch = await asyncio.wait_for(intake.take(), 60)
        batches.append(bodies(batch))
        await intake.acknowledge(batch)
    assert sorted(body for batch in batches for body in batch) == ["a1", "a2", "a3", "o1", "o2", "o3"]
    assert all([suspect] in batches for suspect in ("a1", "a2", "o1", "o2"))


@pytest.mark.parametrize("queue", [ANSWERS, ORDERS, REPORTS])
async def test_what_may_kill_its_consumer_is_taken_alone_wherever_it_stands(place: Place, queue: str) -> None:
    intake = await place.open()
    await place.say(queue, "killer")
    place.lose_consumer(3)
    await intake.acknowledge(await intake.take())
    await place.say(queue, "1", "2")
    (subscription,) = (each for each in place.broker._subscriptions if each.queue == queue)
    killer = replace(subscription.arrived[0], body=b"killer", failures=3)
    # As if another daemon had just died of it: redelivered, it comes behind what was here before.
    subscription.arrived.insert(1, killer)
    async with asyncio.timeout(60):
        assert [bodies(await intake.take()) for _ in range(3)] == [["1"], ["killer"], ["2"]]


async def test_nothing_new_is_taken_beside_an_answer_that_is_taken_alone(place: Place) -> None:
    intake = await place.open()
    await place.say(ANSWERS, "a1")
    place.lose_consumer(3)
    await place.say(ORDERS, "o1")
    assert [bodies(await intake.take()) for _ in range(2)] == [["a1"], ["o1"]]


async def test_what_may_kill_its_consumer_is_not_taken_beside_others(place: Place) -> None:
    intake = await place.open()
    await place.say(ANSWERS, "killer")
    place.lose_consumer(3)
    assert await intake.more(0.01, []) == []
    assert bodies(await intake.take()) == ["killer"]


@pytest.mark.parametrize(("killing", "other"), [*permutations((ANSWERS, ORDERS, REPORTS), 2)])
async def test_what_kills_its_consumer_takes_nothing_with_it(place: Place, killing: str, other: str) -> None:
    intake = await place.open(prefetch=20)
    await place.say(other, "29")
    await place.say(killing, *map(str, range(10)), POISON, *map(str, range(10, 29)))
    deaths, handled = 0, set[str]()
    while len(handled) < 30 or deaths <= DELIVERY_LIMIT:
        batch = await asyncio.wait_for(intake.take(), 60)
        if POISON in bodies(batch):
            deaths += 1
            place.lose_consumer(1)
        else:
            handled |= set(bodies(batch))
            await intake.acknowledge(batch)
    assert handled == set(map(str, range(30)))
