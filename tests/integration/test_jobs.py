"""Scheduled work: each job on its own, each run in a transaction, and nothing that keeps one from its next run."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from messages.transport import log_throttle
from messages.transport.daemon import jobs
from messages.transport.database.transactions import Transaction
from messages.transport.handled import Alarm, Handled, Outgoing
from messages.transport.publisher import OutboxPublisher
from messages.transport.service import Job
from tests.integration.toy.service import COUNTED, Counted, bought, paid
from tests.integration.toy.station import Station

OFTEN = 0.02
TOO_SHORT_SECONDS = 0.000_001


class Workshop:
    """Jobs that count their runs."""

    def __init__(self) -> None:
        self.runs: Counter[str] = Counter()
        self.began: defaultdict[str, list[float]] = defaultdict(list)

    def job(
        self,
        name: str,
        work: Callable[[Transaction], Awaitable[Handled | None]] | None = None,
        *,
        every: float = OFTEN,
        only_when_quiet: bool = False,
        needed: Callable[[], bool] = lambda: True,
        due: str | None = None,
        low_priority: bool = False,
        despite_backpressure: bool = False,
    ) -> Job:
        async def run(tx: Transaction) -> Handled:
            self.runs[name] += 1
            self.began[name].append(time.monotonic())
            return (await work(tx) if work else None) or Handled()

        return Job(name, every, run, only_when_quiet, needed, due, low_priority, despite_backpressure)

    async def until_run(self, station: Station, name: str, times: int) -> None:
        async def reached() -> bool:
            return self.runs[name] >= times

        await station.until(reached)


@pytest.fixture
def workshop() -> Workshop:
    return Workshop()


async def fail(_tx: Transaction) -> None:
    raise ValueError("as arranged")


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


async def test_a_run_that_failed_leaves_nothing(station: Station, workshop: Workshop) -> None:
    station.toy.jobs = [workshop.job("bad", write_and_fail)]
    async with station.running():
        await workshop.until_run(station, "bad", 3)
    assert await station.count("purchase") == 0


async def test_a_job_with_more_to_do_is_run_again_at_once(station: Station, workshop: Workshop) -> None:
    async def more(_tx: Transaction) -> Handled:
        return Handled(more=workshop.runs["long"] < 20)

    station.toy.jobs = [workshop.job("long", more, every=3_600)]
    async with station.running():
        await workshop.until_run(station, "long", 20)
    assert workshop.runs["long"] == 20


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


async def test_backpressure_stops_only_jobs_that_do_not_run_despite_it(
    station: Station, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait_for_capacity(_publisher: OutboxPublisher) -> None:
        await asyncio.Event().wait()

    station.toy.jobs = [workshop.job("ordinary"), workshop.job("needed", despite_backpressure=True)]
    monkeypatch.setattr(OutboxPublisher, "wait_for_capacity", wait_for_capacity)
    async with station.running(drain_seconds=0.1) as running:
        await workshop.until_run(station, "needed", 3)
        await running.until_counted("job_runs", 1, job="measure", result="done")
    assert workshop.runs["ordinary"] == 0


async def test_a_job_that_was_held_up_for_long_does_not_rest_for_ever(
    station: Station, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LONGEST_WORKED_SECONDS", 0.05)
    assert await _seconds_between_batches(station, workshop, "SELECT pg_sleep(0.5)") < 0.5 * jobs.REST


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


async def test_a_job_is_run_soon_after_the_start_however_rare_it_is(station: Station, workshop: Workshop) -> None:
    station.toy.jobs = [workshop.job("daily", every=86_400)]
    async with station.running():
        await workshop.until_run(station, "daily", 1)


async def test_a_slow_job_keeps_nobody_waiting_and_is_cut_off_at_the_end(station: Station, workshop: Workshop) -> None:
    async def slow(tx: Transaction) -> None:
        await tx.execute("INSERT INTO purchase VALUES ($1, 1)", uuid4())
        await tx.execute("SELECT pg_sleep(30)")

    station.toy.jobs = [workshop.job("slow", slow), workshop.job("quick")]
    async with station.running() as running:
        await workshop.until_run(station, "slow", 1)
        before = workshop.runs["quick"]
        await workshop.until_run(station, "quick", before + 3)
        running.stop.set()
        await asyncio.wait_for(running.task, 5)
    assert await station.count("purchase") == 0


async def test_a_job_for_quiet_times_waits_while_answers_do(station: Station, workshop: Workshop) -> None:
    station.toy.jobs = [workshop.job("repeats", only_when_quiet=True), workshop.job("any time")]
    station.toy.gate.clear()
    await station.say(paid("in hand"))
    async with station.running():
        await station.toy.entered.wait()
        await station.say(paid("waiting"))
        before = workshop.runs["repeats"]
        await workshop.until_run(station, "any time", workshop.runs["any time"] + 5)
        assert workshop.runs["repeats"] <= before + 1
        seen = workshop.runs["repeats"]
        await workshop.until_run(station, "any time", workshop.runs["any time"] + 5)
        assert workshop.runs["repeats"] == seen
        station.toy.gate.set()
        await workshop.until_run(station, "repeats", seen + 1)


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


ASKED = "CREATE TABLE asked (job text, asked_in xid8 DEFAULT pg_current_xact_id())"
IS_DUE = """
    CREATE FUNCTION is_due(text, after integer) RETURNS boolean LANGUAGE sql AS $$
        INSERT INTO asked (job) VALUES ($1);
        SELECT count(*) > $2 FROM asked WHERE job = $1;
    $$
"""


async def test_jobs_that_are_not_due_are_asked_about_in_one_question_and_count_as_done(
    station: Station, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "FIRST_RUN_SECONDS", 0.0)
    await station.rows(ASKED)
    await station.rows(IS_DUE)
    station.toy.jobs = [
        workshop.job("seldom", due="is_due('seldom', 3)"),
        workshop.job("never", due="is_due('never', 99)"),
    ]
    async with station.running() as running:
        await workshop.until_run(station, "seldom", 1)
        assert running.counted("job_runs", job="seldom", result="done") >= 3
        assert running.counted("job_runs", job="never", result="done") >= 3
    together = await station.rows(
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
