"""A document that cannot be handled is parked, alone, and the rest of its batch is handled."""

import pytest

from tests.integration.toy.faults import raising
from tests.integration.toy.service import BREAK_A_RULE, FAIL, SHOUT, bought, numbered, paid
from tests.integration.toy.station import Station


@pytest.mark.parametrize(("wish", "told"), [(FAIL, "ValueError: cannot handle"), (BREAK_A_RULE, "CheckViolationError")])
async def test_a_document_that_cannot_be_handled_is_parked_alone_and_the_rest_handled_once(
    station: Station, wish: str, told: str
) -> None:
    poison = bought("poison", wish)
    await station.say(*numbered(20), poison, *numbered(20), paid("answer"))
    async with station.running():
        await station.until_count("parked", 1)
        await station.until_heard(41)
    assert sorted(await station.heard()) == sorted(
        [*(str(number) for number in range(20)), "answer"] + [str(number) for number in range(20)]
    )
    ((reason, detail),) = await station.parked()
    assert reason == "handler_failed"
    assert detail.startswith(told)
    (row,) = await station.rows("SELECT * FROM parked")
    assert (row["type"], row["order_id"], row["queue"]) == ("Bought/1.0", poison.order_id, "toy.bought")
    assert b'"text":"poison"' in row["body"]
    assert sorted(station.texts()) == sorted(await station.heard())
    assert await station.left_in("toy.bought") == []


async def test_several_bad_documents_of_a_batch_are_each_parked(station: Station) -> None:
    wishes = {3: FAIL, 4: FAIL, 17: BREAK_A_RULE, 31: FAIL}
    await station.say_together(*(bought(str(number), wishes.get(number, "")) for number in range(32)))
    async with station.running():
        await station.until_count("parked", 4)
        await station.until_heard(28)
    assert await station.heard() == [str(number) for number in range(32) if number not in wishes]


async def test_documents_stay_in_order_when_a_batch_is_split(station: Station) -> None:
    await station.say(*(bought(str(number), FAIL if number == 6 else "") for number in range(13)))
    async with station.running():
        await station.until_heard(12)
    assert await station.heard() == [str(number) for number in range(13) if number != 6]


async def test_poison_beside_unreadable_documents_costs_neither_the_others_nor_itself(station: Station) -> None:
    await station.publish("bought", b"\xff")
    await station.say(bought("good"), bought("poison", FAIL))
    await station.publish("bought", b"\xfe")
    async with station.running():
        await station.until_count("parked", 3)
        await station.until_heard(1)
    assert sorted(reason for reason, _ in await station.parked()) == ["handler_failed", "not_json", "not_json"]
    assert [row["times"] for row in await station.rows("SELECT times FROM parked")] == [1, 1, 1]


async def test_a_batch_that_fails_only_as_a_whole_is_handled_in_parts(station: Station) -> None:
    station.toy.faults.append(raising(ValueError("too many cooks")))
    await station.say(*numbered(10))
    async with station.running():
        await station.until_heard(10)
    assert [len(batch) for batch in await station.batches()] == [5, 5]
    assert await station.parked() == []


async def test_what_a_batch_that_failed_wanted_said_is_not_said(station: Station) -> None:
    await station.say(bought("good"), bought("poison", FAIL), bought("loud", SHOUT))
    async with station.running() as running:
        await station.until_heard(2)
        await station.until_told(2)
    assert sorted(station.texts()) == ["good", "loud"]
    assert running.counted("alarms", alarm="shouted") == 1
    assert await station.count("timeline") == 2
