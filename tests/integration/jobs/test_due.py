"""Which jobs are due is asked in one question, and where there is no answer, they are run."""

import pytest
from structlog.testing import capture_logs

from messages.transport.daemon import jobs
from tests.integration.jobs.workshop import OFTEN, Workshop
from tests.integration.toy.station import Station

TOO_SHORT_SECONDS = 0.000_000_001
ASKED = "CREATE TABLE asked (job text, asked_in xid8 DEFAULT pg_current_xact_id())"
IS_DUE = """
    CREATE FUNCTION is_due(text, after integer) RETURNS boolean LANGUAGE sql AS $$
        INSERT INTO asked (job) VALUES ($1);
        SELECT count(*) > $2 FROM asked WHERE job = $1;
    $$
"""


async def test_jobs_that_are_not_due_are_asked_about_in_one_question_and_count_as_done(
    own_station: Station, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "FIRST_RUN_SECONDS", 0.0)
    monkeypatch.setattr(jobs, "QUESTION_SECONDS", 60.0)
    await own_station.rows(ASKED)
    await own_station.rows(IS_DUE)
    own_station.toy.jobs = [
        workshop.job("seldom", due="is_due('seldom', 3)"),
        workshop.job("never", due="is_due('never', 99)"),
    ]
    async with own_station.running() as running:
        await workshop.until_run(own_station, "seldom", 1)
        assert running.counted("job_runs", job="seldom", result="done") >= 3
        assert running.counted("job_runs", job="never", result="done") >= 3
    together = await own_station.rows(
        "SELECT array_agg(job ORDER BY job) AS jobs FROM asked GROUP BY asked_in ORDER BY asked_in"
    )
    assert [row["jobs"] for row in together[:3]] == [["never", "seldom"]] * 3
    assert workshop.runs["never"] == 0


async def test_a_question_that_fails_keeps_no_job_from_its_run(
    station: Station, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "FIRST_RUN_SECONDS", 0.0)
    station.toy.jobs = [
        workshop.job("unanswerable", due="1 / (SELECT count(*) FROM purchase) > 0"),
        workshop.job("neighbour", due="true"),
        workshop.job("needless", needed=lambda: False),
    ]
    async with station.running() as running:
        for name in ("unanswerable", "neighbour"):
            await workshop.until_run(station, name, 3)
        assert running.counted("job_runs", job="neighbour", result="failed") == 0
        assert running.counted("job_runs", job="needless", result="done") > 0


async def test_a_database_that_does_not_say_what_is_due_is_told_of_once_and_again_after_it_has_said_it(
    station: Station, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    station.toy.jobs = [workshop.job("asked", due="true"), workshop.job("often", every=OFTEN / 3)]
    with capture_logs() as logs:
        async with station.running():
            for runs, seconds in ((10, TOO_SHORT_SECONDS), (20, jobs.QUESTION_SECONDS), (30, TOO_SHORT_SECONDS)):
                monkeypatch.setattr(jobs, "QUESTION_SECONDS", seconds)
                await workshop.until_run(station, "asked", runs)
    assert [line["error"] for line in logs if line["event"].startswith("cannot query")] == ["TimeoutError"] * 2


async def test_a_job_that_is_not_due_is_not_asked_about_again_before_its_time(
    station: Station, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "FIRST_RUN_SECONDS", 0.0)
    station.toy.jobs = [workshop.job("daily", every=86_400, needed=lambda: False), workshop.job("often")]
    async with station.running() as running:
        await workshop.until_run(station, "often", 5)
        assert running.counted("job_runs", job="daily", result="done") == 1
