"""New work pauses while too many orders are undecided, and answers do not."""

import asyncio

import pytest

from messages.transport.database.transactions import Transaction
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


async def test_a_count_that_no_retry_can_mend_ends_the_process(station: Station) -> None:
    async def capacity(_tx: Transaction) -> int:
        raise ValueError("cannot count")

    station.toy.capacity = capacity
    await station.say(bought("order"))
    with pytest.raises(ValueError, match="cannot count"):
        await _run_to_the_end(station)


async def _run_to_the_end(station: Station) -> None:
    async with station.running() as running:
        await asyncio.wait({running.task}, timeout=20)
        assert running.task.done()
