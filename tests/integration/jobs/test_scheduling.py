"""When a job is run: soon after the start, again at once, in quiet times, or not at all."""

import asyncio
from uuid import uuid4

import pytest

from messages.transport.database.transactions import Transaction
from messages.transport.handled import Alarm, Handled, Outgoing
from messages.transport.publisher import OutboxPublisher
from tests.integration.jobs.workshop import Workshop
from tests.integration.toy.service import COUNTED, Counted, bought, paid
from tests.integration.toy.station import Station


async def test_a_job_with_more_to_do_is_run_again_at_once(station: Station, workshop: Workshop) -> None:
    async def more(_tx: Transaction) -> Handled:
        return Handled(more=workshop.runs["long"] < 20)

    station.toy.jobs = [workshop.job("long", more, every=3_600)]
    async with station.running():
        await workshop.until_run(station, "long", 20)
    assert workshop.runs["long"] == 20


async def test_backpressure_stops_only_jobs_that_do_not_run_despite_it(
    station: Station, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait_for_capacity(_publisher: OutboxPublisher) -> None:
        await asyncio.Event().wait()

    station.toy.jobs = [workshop.job("ordinary"), workshop.job("needed", despite_backpressure=True)]
    monkeypatch.setattr(OutboxPublisher, "wait_for_capacity", wait_for_capacity)
    monkeypatch.setattr(OutboxPublisher, "some_confirmed", True)
    async with station.running(drain_seconds=0.1) as running:
        await workshop.until_run(station, "needed", 3)
        for job in ("delete_confirmed", "measure", "rotate_partitions"):
            await running.until_counted("job_runs", 1, job=job, result="done")
    assert workshop.runs["ordinary"] == 0


async def test_a_job_is_run_soon_after_the_start_however_rare_it_is(station: Station, workshop: Workshop) -> None:
    station.toy.jobs = [workshop.job("daily", every=86_400)]
    async with station.running():
        await workshop.until_run(station, "daily", 1)


async def test_a_slow_job_keeps_nobody_waiting_and_is_cut_off_at_the_end(station: Station, workshop: Workshop) -> None:
    async def slow(tx: Transaction) -> None:
        await tx.execute("INSERT INTO purchase VALUES ($1, 1)", uuid4())
        await tx.execute("SELECT pg_sleep(600)")

    station.toy.jobs = [workshop.job("slow", slow), workshop.job("quick")]
    async with station.running() as running:
        await workshop.until_run(station, "slow", 1)
        before = workshop.runs["quick"]
        await workshop.until_run(station, "quick", before + 5)
        assert workshop.runs["slow"] == 1, "it is not begun beside itself"
        running.stop.set()
        await asyncio.wait_for(running.task, 5)
    assert await station.count("purchase") == 0


async def test_a_job_for_quiet_times_waits_while_answers_do(station: Station, workshop: Workshop) -> None:
    station.toy.jobs = [workshop.job("repeats", only_when_quiet=True), workshop.job("any time")]
    station.toy.gate.clear()
    await station.say(paid("in hand"), paid("waiting"))
    async with station.running(batch_documents=1):
        await workshop.until_run(station, "any time", 10)
        assert workshop.runs["repeats"] == 0
        station.toy.gate.set()
        await workshop.until_run(station, "repeats", 1)


async def test_a_job_is_not_run_while_there_can_be_nothing_to_do_and_counts_as_done(
    station: Station, workshop: Workshop
) -> None:
    something = asyncio.Event()
    station.toy.jobs = [workshop.job("idle", needed=something.is_set), workshop.job("other")]
    async with station.running() as running:
        await workshop.until_run(station, "other", 10)
        assert workshop.runs["idle"] == 0
        assert running.counted("job_runs", job="idle", result="done") > 0
        something.set()
        await workshop.until_run(station, "idle", 2)


async def test_a_process_that_is_never_quiet_stops_all_the_same(station: Station, workshop: Workshop) -> None:
    station.toy.jobs = [workshop.job("repeats", only_when_quiet=True, every=0.001)]
    station.toy.gate.clear()
    await station.say(paid("in hand"))
    async with station.running(drain_seconds=60.0) as running:
        await station.toy.entered.wait()
        await station.say(paid("waiting"))
        running.stop.set()
        station.toy.gate.set()
        await asyncio.wait_for(running.task, 20)


async def test_what_a_job_says_is_said_and_its_alarms_are_counted(station: Station, workshop: Workshop) -> None:
    async def say(_tx: Transaction) -> Handled:
        if workshop.runs["talkative"] > 1:
            return Handled()
        said = Outgoing(Counted(order_id=uuid4(), text="by a job"), COUNTED)
        return Handled(outgoing=[said], alarms=[Alarm("stuck")])

    station.toy.jobs = [workshop.job("talkative", say)]
    async with station.running() as running:
        await station.until_told(1)
        await workshop.until_run(station, "talkative", 2)
    assert station.texts() == ["by a job"]
    assert running.counted("alarms", alarm="stuck") == 1


async def test_a_process_that_stops_begins_no_job_while_it_finishes_its_batch(
    station: Station, workshop: Workshop
) -> None:
    async def more(_tx: Transaction) -> Handled:
        return Handled(more=True)

    station.toy.jobs = [workshop.job("endless", more), workshop.job("often")]
    station.toy.gate.clear()
    await station.say(bought("in hand"))
    async with station.running(drain_seconds=60.0) as running:
        await station.toy.entered.wait()
        for name in ("endless", "often"):
            await workshop.until_run(station, name, 3)
        (jobs,) = (task for task in asyncio.all_tasks() if task.get_name() == "jobs")
        running.stop.set()
        await asyncio.wait({jobs}, timeout=20)
        assert jobs.done()
        assert await station.heard() == []
