"""Scheduled work: each run in a transaction and a task of its own; a failure keeps no job from its next run."""

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import structlog

from messages.transport.faults import is_infrastructure
from messages.transport.service import Handled, Job
from messages.transport.transactor import Transactor

log = structlog.get_logger(__name__)

FIRST_RUN_SECONDS = 2.0
NOT_QUIET_SECONDS = 0.1
TOLERANCE = 0.2
"""What share of its interval a job may be run sooner or later, so that several are looked after at once."""
STALE_AFTER_INTERVALS = 10
STALE_AFTER_SECONDS = 30.0


class Jobs:
    """Runs a service's jobs. `stale` names those that have not succeeded for long, for readiness.

    To wake up is most of what a process at rest costs. So jobs whose times are near are looked after together, and
    whether there is anything to do is asked about all of them in one question.
    """

    def __init__(self, jobs: Sequence[Job], transactor: Transactor, is_quiet: Callable[[], bool]) -> None:
        now = time.monotonic()
        self._jobs = jobs
        self._transactor = transactor
        self._is_quiet = is_quiet
        self._succeeded_at = {job.name: now for job in jobs}
        # Soon after the start, or a process that never lives for an hour would never run an hourly job; and not in
        # step with the other processes that run the same one.
        self._next_at = {
            job.name: now + random.uniform(0.0, min(job.interval_seconds, FIRST_RUN_SECONDS))  # noqa: S311
            for job in jobs
        }
        self._stopping = False
        self._woken = asyncio.Event()

    def stop(self) -> None:
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while not self._stopping:
                for job in await self._due(list(self._ripe(time.monotonic()))):
                    self._next_at[job.name] = math.inf
                    group.create_task(self._work_off(job), name=job.name)
                await self._pause()

    @property
    def stale(self) -> list[str]:
        now = time.monotonic()
        return [
            job.name
            for job in self._jobs
            if now - self._succeeded_at[job.name]
            > max(STALE_AFTER_SECONDS, STALE_AFTER_INTERVALS * job.interval_seconds)
        ]

    def _ripe(self, now: float) -> Iterator[Job]:
        """Once the time of one has come, all whose time would come soon."""
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
        """Those that have something to do. The others are done, or asked about again in their time."""
        needed = [job for job in ripe if job.needed()]
        due = []
        try:
            due = [job for job, is_due in zip(needed, await self._ask(needed), strict=True) if is_due]
            for job in ripe:
                if job not in due:
                    self._succeeded(job)
        except Exception as error:  # noqa: BLE001  whatever it was, the next run is due in its time
            for job in needed:
                self._failed(job, error)
        self._plan(ripe)
        return due

    async def _ask(self, jobs: Sequence[Job]) -> list[bool]:
        """Whether each is due, in one question outside a transaction."""
        questions = [job.due for job in jobs if job.due is not None]
        if not questions:
            return [True] * len(jobs)
        async with self._transactor.database.session() as tx:
            (row,) = await tx.fetch(f"SELECT {', '.join(questions)}")
        answers = iter(row)
        return [job.due is None or next(answers) for job in jobs]

    async def _work_off(self, job: Job) -> None:
        try:
            while not self._stopping and (await self._work(job)).more:
                self._succeeded(job)
            self._succeeded(job)
        except Exception as error:  # noqa: BLE001  whatever it was, the next run is due in its time
            self._failed(job, error)
        finally:
            self._plan([job])
            self._woken.set()

    async def _work(self, job: Job) -> Handled:
        await self._transactor.publisher.room()
        return await self._transactor.run(job.run)

    def _succeeded(self, job: Job) -> None:
        self._transactor.metrics.jobs.labels(job.name, "done").inc()
        self._succeeded_at[job.name] = time.monotonic()

    def _failed(self, job: Job, error: Exception) -> None:
        self._transactor.metrics.jobs.labels(job.name, "failed").inc()
        level = log.warning if is_infrastructure(error) else log.exception
        level("job failed", job=job.name, error=str(error) or type(error).__name__)

    def _plan(self, jobs: Iterable[Job]) -> None:
        """The next run of each; those that come at the same time stay together."""
        now, spread = time.monotonic(), random.uniform(1.0 - TOLERANCE, 1.0 + TOLERANCE)  # noqa: S311
        self._next_at.update((job.name, now + job.interval_seconds * spread) for job in jobs)

    async def _pause(self) -> None:
        """Until the time of the next one, or until there is another next one."""
        if self._stopping:
            return
        self._woken.clear()
        wait = min(self._next_at.values()) - time.monotonic()
        alarm = asyncio.get_running_loop().call_later(wait, self._woken.set) if wait < math.inf else None
        try:
            await self._woken.wait()
        finally:
            if alarm is not None:
                alarm.cancel()
