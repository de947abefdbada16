"""A job in no hurry rests between its batches, for longer while answers wait, and never for ever."""

import asyncio

import pytest

from messages.transport.daemon import jobs
from messages.transport.database.transactions import Transaction
from messages.transport.handled import Handled
from messages.transport.publisher import OutboxPublisher
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
    async def wait_for_capacity(_publisher: OutboxPublisher) -> None:
        if not workshop.runs["lazy"]:
            await asyncio.sleep(0.5)  # an outage of the broker

    monkeypatch.setattr(OutboxPublisher, "wait_for_capacity", wait_for_capacity)
    assert await _seconds_between_batches(station, workshop, "SELECT 1") < 0.5 * jobs.REST


async def test_a_job_that_was_held_up_for_long_does_not_rest_for_ever(
    station: Station, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LONGEST_WORKED_SECONDS", 0.05)
    assert await _seconds_between_batches(station, workshop, "SELECT pg_sleep(0.5)") < 0.5 * jobs.REST


async def test_a_job_in_no_hurry_rests_for_longer_while_answers_wait_but_not_for_ever(
    station: Station, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "REST", 1.0)
    monkeypatch.setattr(jobs, "LONGEST_REST", 8.0)

    async def more(tx: Transaction) -> Handled:
        await tx.execute("SELECT pg_sleep(0.1)")
        return Handled(more=workshop.runs["lazy"] < 2)

    station.toy.jobs = [workshop.job("lazy", more, every=3_600, low_priority=True)]
    station.toy.gate.clear()
    await station.say(paid("in hand"))
    async with station.running():
        await station.toy.entered.wait()
        await station.say(paid("waiting"))
        await workshop.until_run(station, "lazy", 2)
    first, second = workshop.began["lazy"]
    assert second - first > 0.1 * (1 + jobs.LONGEST_REST)


async def _seconds_between_batches(station: Station, workshop: Workshop, work: str) -> float:
    """Of a job in no hurry, from the beginning of its first batch to that of the next."""

    async def more(tx: Transaction) -> Handled:
        await tx.execute(work)
        return Handled(more=workshop.runs["lazy"] < 2)

    station.toy.jobs = [workshop.job("lazy", more, every=3_600, low_priority=True)]
    async with station.running():
        await workshop.until_run(station, "lazy", 2)
    first, second = workshop.began["lazy"]
    return second - first
