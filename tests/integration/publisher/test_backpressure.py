"""No more work is taken while too little is confirmed, and what comes is left to others."""

from uuid import uuid4

import pytest

from messages.transport.batches import stall_guard
from messages.transport.database.transactions import Transaction
from messages.transport.handled import Handled, Outgoing
from messages.transport.service import Job
from tests.integration.publisher.moody import Moody
from tests.integration.toy.pausing import until_paused
from tests.integration.toy.service import COUNTED, ELSEWHERE, TELL_ELSEWHERE, Counted, bought, reported
from tests.integration.toy.station import Station
from tests.integration.toy.waiting import true, until


async def test_no_more_work_is_taken_while_too_little_is_confirmed(station: Station, moody: Moody) -> None:
    moody.down = True
    async with station.running(moody, unconfirmed_rows=5, batch_documents=1):  # of two rows each
        await station.say(*(bought(str(number), TELL_ELSEWHERE) for number in range(10)))
        await _takes_no_more_than(station, moody, 3)
        moody.down = False
        await station.until_heard(10)
        await station.until_told(10)


async def test_reports_wait_too_while_too_little_is_confirmed(station: Station, moody: Moody) -> None:
    moody.down = True
    async with station.running(moody, unconfirmed_rows=1) as running:
        await station.say(bought("a"))
        await station.until_heard(1)
        await station.say(reported("b"))
        await _takes_no_more_than(station, moody, 1)
        assert dict(running.process._intake.waiting())["toy.reported"] == 1
        moody.down = False
        await station.until_heard(2)


async def test_no_more_work_is_taken_while_a_queue_of_our_own_confirms_nothing(station: Station, moody: Moody) -> None:
    moody.sulks = ELSEWHERE.key
    async with station.running(moody, unconfirmed_rows=3, batch_documents=1):
        await station.say(*(bought(str(number), TELL_ELSEWHERE) for number in range(10)))
        await _takes_no_more_than(station, moody, 3)
        moody.sulks = ""
        await station.until_heard(10)
        await station.until_told(10)


async def test_what_is_public_takes_no_more_memory_than_the_rest_while_the_broker_is_away(
    station: Station, moody: Moody
) -> None:
    moody.down = True
    async with station.running(moody, unconfirmed_rows=3, batch_documents=1):
        await station.say(*(bought(str(number)) for number in range(10)))
        await _takes_no_more_than(station, moody, 3)
        moody.down = False
        await station.until_told(10)


async def test_a_job_with_more_to_say_waits_too_while_too_little_is_confirmed(station: Station, moody: Moody) -> None:
    runs = 0

    async def talk(_tx: Transaction) -> Handled:
        nonlocal runs
        runs += 1
        return Handled(outgoing=[Outgoing(Counted(order_id=uuid4(), text=str(runs)), COUNTED)], more=runs < 3)

    moody.down = True
    station.toy.jobs = [Job("talkative", 3_600, talk)]
    async with station.running(moody, unconfirmed_rows=1):
        await until(lambda: true(len(moody.calls) > 2))
        assert runs == 1
        moody.down = False
        await station.until_told(3)


async def test_who_cannot_say_anything_leaves_what_comes_to_others(
    station: Station, moody: Moody, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stall_guard, "HELD_SECONDS", 0.3)
    moody.down = True
    async with station.running(moody, unconfirmed_rows=1) as mute:
        await station.say(bought("a", TELL_ELSEWHERE))
        await station.until_acknowledged("toy.bought")  # or it pauses for the batch, and consumes again after it
        await until_paused(mute)
        async with station.running():
            await station.say(*(bought(str(number)) for number in range(10)))
            await station.until_heard(11)
        moody.down = False
        await station.say(bought("b"))
        await station.until_told(12)
        await until(lambda: true(not mute.process._intake.paused))


async def _takes_no_more_than(station: Station, moody: Moody, number: int) -> None:
    await station.until_heard(number)
    calls = len(moody.calls)
    await until(lambda: true(len(moody.calls) > calls + 4))
    assert await station.count("heard") == number
