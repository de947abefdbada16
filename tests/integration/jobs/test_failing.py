"""A job that fails leaves nothing, keeps nobody from the next run, and is told of once."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from messages.transport import log_throttle
from messages.transport.database.transactions import Transaction
from tests.integration.jobs.workshop import Workshop, fail
from tests.integration.toy.service import bought
from tests.integration.toy.station import Station


async def lose_the_connection(tx: Transaction) -> None:
    await tx.execute("SELECT pg_terminate_backend(pg_backend_pid())")


async def write_and_fail(tx: Transaction) -> None:
    await tx.execute("INSERT INTO purchase VALUES ($1, 1)", uuid4())
    raise ValueError("as arranged")


@pytest.mark.parametrize("fault", [fail, lose_the_connection])
async def test_a_failing_job_keeps_neither_itself_nor_others_from_the_next_run(
    station: Station, workshop: Workshop, fault: Callable[[Transaction], Awaitable[None]]
) -> None:
    station.toy.jobs = [workshop.job("bad", fault), workshop.job("good")]
    async with station.running() as running:
        await workshop.until_run(station, "bad", 3)
        await workshop.until_run(station, "good", 3)
        await station.say(bought("a"))
        await station.until_heard(1)
    assert running.counted("job_runs", job="bad", result="failed") >= 2
    assert running.counted("job_runs", job="bad", result="done") == 0
    assert running.counted("job_runs", job="good", result="failed") == 0


async def test_the_same_failure_is_told_once_and_again_after_a_success_or_another_one(
    station: Station, workshop: Workshop
) -> None:
    faults = iter(["first"] * 5 + ["second"] * 5 + [""] + ["second"] * 5)

    async def work(_tx: Transaction) -> None:
        if fault := next(faults, ""):
            raise ValueError(fault)

    station.toy.jobs = [workshop.job("bad", work)]
    with capture_logs() as logs:
        async with station.running():
            await workshop.until_run(station, "bad", 17)
    assert [line["error"] for line in logs if line["event"] == "job failed"] == ["first", "second", "second"]


async def test_the_same_failure_is_told_again_after_a_while(
    station: Station, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_throttle, "FAILURE_AGAIN_AFTER_SECONDS", 0.0)
    station.toy.jobs = [workshop.job("bad", fail)]
    with capture_logs() as logs:
        async with station.running():
            await workshop.until_run(station, "bad", 4)
    assert sum(line["event"] == "job failed" for line in logs) >= 3


async def test_a_run_that_failed_leaves_nothing(station: Station, workshop: Workshop) -> None:
    station.toy.jobs = [workshop.job("bad", write_and_fail)]
    async with station.running():
        await workshop.until_run(station, "bad", 3)
    assert await station.count("purchase") == 0
