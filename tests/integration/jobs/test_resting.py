"""A job in no hurry rests between its batches, for longer while answers wait, and never for ever."""

import asyncio
import time

import pytest

from messages.transport.daemon import jobs
from messages.transport.daemon.jobs import Jobs
from messages.transport.database.transactions import Transaction
from messages.transport.handled import Handled
from messages.transport.publisher import OutboxPublisher
from messages.transport.service import Job
from tests.integration.jobs.workshop import Workshop
from tests.integration.toy.service import paid
from tests.integration.toy.station import Station


async def test_a_job_in_no_hurry_rests_between_its_batches_for_longer_than_they_take(
    station: Station, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert jobs.REST == 9, "a tenth of the time is a job's that is in no hurry"
    monkeypatch.setattr(jobs, "REST", 3.0)

    async def more(tx: Transaction) -> Handled:
        await tx.execute("SELECT pg_sleep(0.1)")
        return Handled(more=workshop.runs["lazy"] < 4)

    station.toy.jobs = [workshop.job("lazy", more, every=3_600, low_priority=True)]
    async with station.running():
        await workshop.until_run(station, "lazy", 4)
    assert workshop.began["lazy"][3] - workshop.began["lazy"][0] > 3 * 0.1 * (1 + jobs.REST)


async def test_how_long_a_job_waits_until_it_may_begin_is_nothing_to_rest_from(
    station: Station, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_begin_at: list[float] = []
    rested: list[tuple[float, float]] = []

    async def wait_for_capacity(_publisher: OutboxPublisher) -> None:
        await asyncio.sleep(0.5)  # an outage of the broker
        may_begin_at.append(time.monotonic())

    async def rest(_jobs: Jobs, seconds_worked: float) -> None:
        rested.append((seconds_worked, time.monotonic()))

    monkeypatch.setattr(OutboxPublisher, "wait_for_capacity", wait_for_capacity)
    monkeypatch.setattr(Jobs, "_pause_after", rest)
    station.toy.jobs = [_two_batches(workshop, "SELECT 1")]
    async with station.running():
        await workshop.until_run(station, "lazy", 2)
    ((seconds_worked, at),) = rested
    assert seconds_worked <= at - may_begin_at[0]


async def test_a_job_that_was_held_up_for_long_does_not_rest_for_ever(
    station: Station, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LONGEST_WORKED_SECONDS", 0.0005)
    monkeypatch.setattr(jobs, "REST", 1_000.0)
    station.toy.jobs = [_two_batches(workshop, "SELECT pg_sleep(0.5)")]
    async with station.running():
        await workshop.until_run(station, "lazy", 2)  # half a second later, and not several minutes


async def test_a_job_in_no_hurry_rests_for_longer_while_answers_wait_but_not_for_ever(
    station: Station, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "REST", 1.0)
    monkeypatch.setattr(jobs, "LONGEST_REST", 8.0)

    station.toy.jobs = [_two_batches(workshop, "SELECT pg_sleep(0.1)")]
    station.toy.gate.clear()
    await station.say(paid("in hand"), paid("waiting"))
    async with station.running(batch_documents=1):
        await workshop.until_run(station, "lazy", 2)
    first, second = workshop.began["lazy"]
    assert second - first > 0.1 * (1 + jobs.LONGEST_REST)


def _two_batches(workshop: Workshop, work: str) -> Job:
    """A job in no hurry."""

    async def more(tx: Transaction) -> Handled:
        await tx.execute(work)
        return Handled(more=workshop.runs["lazy"] < 2)

    return workshop.job("lazy", more, every=3_600, low_priority=True)
