"""Scheduled work: each job in a loop of its own, each run in a transaction; a failure keeps none from its next."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence

import structlog

from messages.transport.faults import is_infrastructure
from messages.transport.service import Handled, Job
from messages.transport.transactor import Transactor

log = structlog.get_logger(__name__)

FIRST_RUN_SECONDS = 2.0
NOT_QUIET_SECONDS = 0.1
STALE_AFTER_INTERVALS = 10
STALE_AFTER_SECONDS = 30.0


class Jobs:
    """Runs a service's jobs. `stale` names those that have not succeeded for long, for readiness."""

    def __init__(self, jobs: Sequence[Job], transactor: Transactor, is_quiet: Callable[[], bool]) -> None:
        self._jobs = jobs
        self._transactor = transactor
        self._is_quiet = is_quiet
        self._succeeded_at = {job.name: time.monotonic() for job in jobs}
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for job in self._jobs:
                group.create_task(self._repeat(job), name=job.name)

    @property
    def stale(self) -> list[str]:
        now = time.monotonic()
        return [
            job.name
            for job in self._jobs
            if now - self._succeeded_at[job.name]
            > max(STALE_AFTER_SECONDS, STALE_AFTER_INTERVALS * job.interval_seconds)
        ]

    async def _repeat(self, job: Job) -> None:
        # Soon after the start, or a process that never lives for an hour would never run an hourly job; and not in
        # step with the other processes that run the same one.
        seconds = random.uniform(0.0, min(job.interval_seconds, FIRST_RUN_SECONDS))  # noqa: S311
        while not self._stopping.is_set():
            await self._pause(seconds)
            seconds = job.interval_seconds * random.uniform(0.8, 1.2)  # noqa: S311
            while job.only_when_quiet and not self._is_quiet() and not self._stopping.is_set():
                await self._pause(NOT_QUIET_SECONDS)
            while not self._stopping.is_set() and await self._run_once(job):
                pass

    async def _run_once(self, job: Job) -> bool:
        """Whether there was more to do than one batch."""
        try:
            handled = await self._work(job) if job.needed() and await self._is_due(job) else Handled()
        except Exception as error:  # noqa: BLE001  whatever it was, the next run is due in its time
            self._transactor.metrics.jobs.labels(job.name, "failed").inc()
            level = log.warning if is_infrastructure(error) else log.exception
            level("job failed", job=job.name, error=str(error) or type(error).__name__)
            return False
        self._transactor.metrics.jobs.labels(job.name, "done").inc()
        self._succeeded_at[job.name] = time.monotonic()
        return handled.more

    async def _is_due(self, job: Job) -> bool:
        if job.due is None:
            return True
        async with self._transactor.database.session() as tx:
            return await job.due(tx)

    async def _work(self, job: Job) -> Handled:
        await self._transactor.publisher.room()
        return await self._transactor.run(job.run)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), timeout=seconds)
        except TimeoutError:
            return
