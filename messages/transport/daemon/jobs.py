"""Scheduled work: each run in a transaction and a task of its own; a failure keeps no job from its next run."""

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import structlog

from messages.transport.batches.transactor import Transactor
from messages.transport.faults import is_infrastructure, one_line
from messages.transport.log_throttle import FailureThrottle
from messages.transport.service import Job
from messages.transport.waiting import clear_and_wait

log = structlog.get_logger(__name__)

FIRST_RUN_SECONDS = 2.0
NOT_QUIET_SECONDS = 0.1
TOLERANCE = 0.2
"""Intervals vary by ±20 % at random, and a job may run up to 20 % early to share a wake-up with another."""
WHAT_IS_DUE = "what is due"
QUESTION_SECONDS = 5.0
"""How long a database may take to say what is due."""
REST = 9.0
"""A low-priority job pauses this many times as long as its batch took: it works a tenth of the time at most."""
LONGEST_REST = 49.0
"""The same, at most, while answers are waiting: orders need the same CPUs and disk."""
LONGEST_WORKED_SECONDS = 10.0
"""Cap on the duration that the pause is computed from: a longer batch was blocked, not busy."""
LEAST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.001, 60.0
STALE_AFTER_INTERVALS = 10
STALE_AFTER_SECONDS = 30.0


class Jobs:
    """Runs a service's jobs. `stale` names those that have not succeeded for long, for readiness.

    Wake-ups are most of an idle process's cost: jobs due at about the same time run together, and one query asks which
    of them have work.
    """

    def __init__(self, jobs: Sequence[Job], transactor: Transactor, is_quiet: Callable[[], bool]) -> None:
        self._jobs = jobs
        self._transactor = transactor
        self._is_quiet = is_quiet
        self._succeeded_at = {job.name: time.monotonic() for job in jobs}
        self._next_at: dict[str, float] = {}
        self._log_throttle = FailureThrottle()
        self._stopping = False
        self._woken = asyncio.Event()

    def stop(self) -> None:
        """Begin no further run. Those that have begun end when `run` is cancelled."""
        self._stopping = True

    async def run(self) -> None:
        now = time.monotonic()
        # Soon after the start, or a process that never lives for an hour would never run an hourly job; and not in
        # step with the other processes that run the same one.
        for job in self._jobs:
            self._next_at[job.name] = now + random.uniform(0.0, min(job.interval_seconds, FIRST_RUN_SECONDS))  # noqa: S311
        async with asyncio.TaskGroup() as group:
            while not self._stopping:
                for job in await self._due(list(self._ripe(time.monotonic()))):
                    self._next_at[job.name] = math.inf
                    group.create_task(self._work_off(job), name=job.name)
                await self._pause()

    @property
    def stale(self) -> list[str]:
        now = time.monotonic()
        return [job.name for job in self._jobs if now - self._succeeded_at[job.name] > _stale_after_seconds(job)]

    def _ripe(self, now: float) -> Iterator[Job]:
        """Once one job's time has come, all whose time is near."""
        if min(self._next_at.values()) > now:
            return
        for job in self._jobs:
            if self._next_at[job.name] > now + TOLERANCE * job.interval_seconds:
                continue
            if job.only_when_quiet and not self._is_quiet():
                self._next_at[job.name] = now + NOT_QUIET_SECONDS
            else:
                yield job

    async def _due(self, ripe: Sequence[Job]) -> list[Job]:
        """Those that have work, or may have. The others count as done."""
        needed = [job for job in ripe if job.needed()]
        try:
            due = [job for job, is_due in zip(needed, await self._ask(needed), strict=True) if is_due]
        except Exception as error:  # noqa: BLE001  whose fault it is shows when each is run by itself
            if self._log_throttle.should_log(WHAT_IS_DUE, error):
                log.warning("cannot query which jobs are due", error=one_line(error))
            due = needed
        for job in ripe:
            if job not in due:
                self._succeeded(job)
        self._plan(ripe)
        return due

    async def _ask(self, jobs: Sequence[Job]) -> list[bool]:
        """Whether each is due, in one query outside a transaction."""
        questions = [job.due for job in jobs if job.due is not None]
        if not questions:
            return [True] * len(jobs)
        async with self._transactor.database.session() as tx:
            (row,) = await tx.fetch(f"SELECT {', '.join(questions)}", timeout=QUESTION_SECONDS)
        self._log_throttle.reset(WHAT_IS_DUE)
        answers = iter(row)
        return [job.due is None or next(answers) for job in jobs]

    async def _work_off(self, job: Job) -> None:
        more = True
        try:
            while more and not self._stopping:
                if not job.despite_backpressure:
                    await self._transactor.publisher.wait_for_capacity()
                began = time.monotonic()
                more = (await self._transactor.run(job.run)).more
                self._succeeded(job)
                if more and job.low_priority:
                    await self._pause_after(time.monotonic() - began)
        except Exception as error:  # noqa: BLE001  whatever it was, the next run is due in its time
            self._failed(job, error)
        finally:
            self._plan([job])
            self._woken.set()

    async def _pause_after(self, seconds_worked: float) -> None:
        """Pause as long as `REST` says, and then until no answer waits: a backlog is worked off in the gaps."""
        seconds_worked = min(seconds_worked, LONGEST_WORKED_SECONDS)
        await asyncio.sleep(REST * seconds_worked)
        until = time.monotonic() + (LONGEST_REST - REST) * seconds_worked
        while not self._is_quiet() and time.monotonic() < until:  # noqa: ASYNC110  a buffer has no event
            await asyncio.sleep(NOT_QUIET_SECONDS)

    def _succeeded(self, job: Job) -> None:
        self._transactor.metrics.jobs.labels(job.name, "done").inc()
        self._log_throttle.reset(job.name)
        self._succeeded_at[job.name] = time.monotonic()

    def _failed(self, job: Job, error: Exception) -> None:
        self._transactor.metrics.jobs.labels(job.name, "failed").inc()
        if self._log_throttle.should_log(job.name, error):
            level = log.warning if is_infrastructure(error) else log.exception
            level("job failed", job=job.name, error=one_line(error))

    def _plan(self, jobs: Iterable[Job]) -> None:
        """Schedule the next run of each; those that ran together stay together."""
        now, spread = time.monotonic(), random.uniform(1.0 - TOLERANCE, 1.0 + TOLERANCE)  # noqa: S311
        self._next_at.update((job.name, now + job.interval_seconds * spread) for job in jobs)

    async def _pause(self) -> None:
        """Wait for the next job's time, or until a finished run changes the schedule."""
        seconds = min(self._next_at.values()) - time.monotonic()
        # An event loop that counts in milliseconds may wake up a little early, and would wait again and again.
        await clear_and_wait(self._woken, min(max(seconds, LEAST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS))


def _stale_after_seconds(job: Job) -> float:
    rest_seconds = LONGEST_REST * LONGEST_WORKED_SECONDS if job.low_priority else 0.0
    return max(STALE_AFTER_SECONDS + rest_seconds, STALE_AFTER_INTERVALS * job.interval_seconds)
