"""A job that has not succeeded for long is named until it does, but a rare one is given time."""

import asyncio

import pytest

from messages.transport.daemon import jobs
from messages.transport.database.transactions import Transaction
from messages.transport.handled import Handled
from tests.integration.jobs.workshop import Workshop, fail
from tests.integration.toy.station import Station


async def test_a_job_that_has_not_succeeded_for_long_is_named_until_it_does(
    station: Station, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "STALE_AFTER_SECONDS", 0.3)
    healed = asyncio.Event()

    async def fail_until_healed(tx: Transaction) -> None:
        if not healed.is_set():
            await fail(tx)

    station.toy.jobs = [workshop.job("sick", fail_until_healed), workshop.job("well")]
    async with station.running() as running:

        async def is_named() -> bool:
            checks = running.process._checks()
            return checks["migrations"] and checks.get("job sick") is False and "job well" not in checks

        await station.until(is_named)
        healed.set()
        await running.ready()


async def test_a_rare_job_is_given_time_before_it_is_called_stale(
    station: Station, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "STALE_AFTER_SECONDS", 0.0)
    station.toy.jobs = [workshop.job("rare", every=3_600), workshop.job("often", every=0.02)]
    async with station.running() as running:
        await running.ready()
        await workshop.until_run(station, "often", 3)
        assert "job rare" not in running.process._checks()


async def test_a_job_that_rests_between_its_batches_is_not_called_stale(
    station: Station, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "STALE_AFTER_SECONDS", 0.1)
    monkeypatch.setattr(jobs, "REST", 1_000.0)

    async def more(tx: Transaction) -> Handled:
        await tx.execute("SELECT pg_sleep(0.4)")
        return Handled(more=True)

    station.toy.jobs = [workshop.job("lazy", more, low_priority=True)]
    async with station.running() as running:
        await workshop.until_run(station, "lazy", 1)
        await asyncio.sleep(6 * 0.1)
        assert workshop.runs["lazy"] == 1, "it rests for a thousand times as long as its batch took"
        assert "job lazy" not in running.process._checks()


async def test_a_frequent_job_is_given_time_too(station: Station, workshop: Workshop) -> None:
    station.toy.jobs = [workshop.job("sick", fail)]
    async with station.running() as running:
        await workshop.until_run(station, "sick", 3 * jobs.STALE_AFTER_INTERVALS)
        assert "job sick" not in running.process._checks()
