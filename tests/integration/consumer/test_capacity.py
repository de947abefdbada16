"""New work pauses while too many orders are undecided, and answers do not."""

import asyncio

import pytest
from structlog.testing import capture_logs

from messages.transport.batches import stall_guard
from messages.transport.database.transactions import Transaction
from tests.integration.toy.pausing import until_paused
from tests.integration.toy.service import bought, numbered, paid
from tests.integration.toy.station import Station


async def test_new_work_pauses_at_the_limit_and_resumes(station: Station) -> None:
    async def capacity(tx: Transaction) -> int:
        left: int = await tx.fetchval(
            "SELECT 4 - count(*) FROM heard h WHERE type = 'Bought'"
            " AND NOT EXISTS (SELECT FROM heard p WHERE p.type = 'Paid' AND p.text = h.text)"
        )
        return left

    station.toy.capacity = capacity
    await station.say(*numbered(10))
    async with station.running():
        await station.until_heard(4)
        await station.say(paid("x"))
        await station.until_heard(5)
        await asyncio.sleep(0.1)
        assert await station.count("heard") == 5
        await station.say(paid("0"), paid("1"))
        await station.until_heard(9)
        await station.say(*(paid(str(number)) for number in range(2, 10)))
        await station.until_heard(21)
    assert [text for text in await station.heard() if text != "x"][:4] == ["0", "1", "2", "3"]


async def test_a_service_that_takes_no_new_work_answers_leaves_it_in_the_queue_and_is_ready(station: Station) -> None:
    asked = 0

    async def capacity(_tx: Transaction) -> int:
        nonlocal asked
        asked += 1
        return 0

    station.toy.takes_new_work, station.toy.capacity = False, capacity
    await station.say(*numbered(3), paid("answer"))
    with capture_logs() as logs:
        async with station.running() as running:
            await station.until_heard(1)
            await running.ready()
            await asyncio.sleep(0.1)
            assert not running.process._intake.paused
            assert len(await station.left_in("toy.bought")) == 3, "they are another daemon's"
    assert await station.heard() == ["answer"]
    assert asked == 0
    assert {"event": "taking no new work", "log_level": "warning", "queue": "toy.bought"} in logs


async def test_a_stuck_batch_does_not_make_it_take_new_work(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stall_guard, "HELD_SECONDS", 0.05)
    station.toy.takes_new_work = False
    station.toy.gate.clear()
    await station.say(bought("order"), paid("answer"))
    async with station.running() as running:
        await until_paused(running)
        station.toy.gate.set()
        await station.until_heard(1)
        await running.ready()
        assert len(await station.left_in("toy.bought")) == 1
    assert await station.heard() == ["answer"]


async def test_counting_costs_no_transaction(station: Station) -> None:
    modes: list[bool] = []

    async def capacity(tx: Transaction) -> int:
        modes.append(tx.is_in_transaction())
        return 1

    station.toy.capacity = capacity
    await station.say(bought("order"))
    async with station.running():
        await station.until_heard(1)
    assert modes == [False]


async def test_a_failure_after_a_success_is_a_first_one_again(station: Station) -> None:
    fails = iter([True, False, True])

    async def capacity(_tx: Transaction) -> int:
        if next(fails, False):
            raise TimeoutError
        return 1

    station.toy.capacity = capacity
    await station.say(bought("a"), bought("b"))
    with capture_logs() as logs:
        async with station.running():
            await station.until_heard(2)
    assert [log["tries"] for log in logs if log["event"] == "batch failed, retrying"] == [1, 1]
