"""The main loop of every service: take a batch, handle it in one transaction, acknowledge it."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

import structlog

from messages.transport.backoff import Backoff
from messages.transport.batches.intake import Intake
from messages.transport.batches.part import Part
from messages.transport.batches.taken import Taken, is_isolated
from messages.transport.batches.transactor import Transactor
from messages.transport.database.lock_mode import LockMode
from messages.transport.document import Reader, documents_in
from messages.transport.faults import Collision, is_infrastructure, is_too_slow, one_line
from messages.transport.incoming import Incoming, Malformed, Origin, unhandled
from messages.transport.parked import HANDLER_FAILED
from messages.transport.service import Gathering

log = structlog.get_logger(__name__)

QUIET_COLLISIONS = 3
GATHERED = 20
"""Documents. A larger batch is not delayed: most related documents are already in it, and some never come."""
GATHER_SECONDS = 0.003


class Draining(Exception):
    """The service is stopping; what is unacknowledged will be redelivered."""


class Consumer:
    """Handles one batch after the other until stopped."""

    def __init__(
        self, reader: Reader, intake: Intake, transactor: Transactor, gathering: Gathering | None = None
    ) -> None:
        self._reader = reader
        self._intake = intake
        self._transactor = transactor
        self._gathering = gathering
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Finish the current batch; if the database prevents that, leave it to be redelivered."""
        self._stopping.set()
        self._intake.wake()

    async def run(self) -> None:
        """Run until stopped. Infrastructure errors are retried; raises any other error that is no document's fault."""
        try:
            with suppress(Draining):
                await self._run()
        finally:
            await self._intake.acknowledge_all()

    async def _run(self) -> None:
        backoff = Backoff(base_seconds=0.05, cap_seconds=5.0)
        while not self._stopping.is_set():
            try:
                await self._wait_for_capacity()
                if self._stopping.is_set():
                    return
                batch = await self._intake.take()
                if batch:
                    await self._handle(batch)
                backoff.reset()
            except Exception as error:
                if not is_infrastructure(error):
                    raise
                await self._wait_out(error, backoff)

    async def _wait_for_capacity(self) -> None:
        """Backpressure: wait while too many rows are unconfirmed; if that lasts, consuming is paused."""
        publisher = self._transactor.publisher
        if not publisher.has_capacity:
            self._intake.expect_progress()
            await publisher.wait_for_capacity()

    async def _handle(self, batch: list[Taken]) -> None:
        began = time.perf_counter()
        parts = list(self._read(batch))
        if (
            self._gathering is not None
            and not is_isolated(batch)
            and len(parts) == 1
            and parts[0].documents <= GATHERED
        ):
            await self._gather(self._gathering, batch, parts[0])
        for part in parts:
            await self._settle(part)
        await self._intake.acknowledge(batch)
        self._transactor.metrics.batch_seconds.observe(time.perf_counter() - began)

    async def _gather(self, gathering: Gathering, batch: list[Taken], part: Part) -> None:
        """Wait briefly for documents that belong with these few, and handle them together."""
        clock = asyncio.get_running_loop().time
        until = clock() + GATHER_SECONDS
        while not self._stopping.is_set() and gathering.is_incomplete(part.readable) and (left := until - clock()) > 0:
            more = await self._intake.more(left, batch)
            if not more and not self._intake.quiet:
                break  # what comes next does not fit, and nothing overtakes it
            batch += more
            for late in self._read(more):
                part.readable += late.readable
                part.malformed += late.malformed
        gathering.close(part.readable)

    def _read(self, batch: Sequence[Taken]) -> Iterator[Part]:
        """Read a batch: in one part, unless a single envelope holds more than a transaction should."""
        bodies: list[bytes] = []
        origins: list[Origin] = []
        for taken in batch:
            found = documents_in(taken.arrival)
            bodies += found
            origins += [Origin(taken.subscription.queue, taken.arrival.provenance)] * len(found)
        documents = self._reader.read_all(bodies, origins)
        for start in range(0, len(documents), self._intake.batch_documents):
            yield Part.of(documents[start : start + self._intake.batch_documents])

    async def _settle(self, part: Part, lock_mode: LockMode = LockMode.OPTIMISTIC) -> None:
        """Retry until committed. If a document is at fault, bisect the batch until it is alone, and park it.

        A batch that takes longer than a statement may is halved too; its documents are not at fault, nor parked.
        """
        backoff = Backoff(base_seconds=0.05, cap_seconds=5.0)
        while True:
            try:
                handled = await self._transactor.handle(part.readable, part.malformed, lock_mode)
                break
            except Exception as error:  # noqa: BLE001  which kind it is, decides what is done about it
                # If only malformed documents are left, the parking itself failed: retry it.
                if part.readable and not is_infrastructure(error):
                    await self._isolate(part, error, lock_mode)
                    return
                if len(part.readable) > 1 and is_too_slow(error):
                    self._transactor.metrics.retries.labels(type(error).__name__).inc()
                    log.warning("batch took too long, halving it", documents=part.documents, error=one_line(error))
                    await self._halve(part, lock_mode)
                    return
                await self._wait_out(error, backoff)
                lock_mode = max(lock_mode, LockMode.PESSIMISTIC)
        if handled.look_again:
            await self._settle(Part(handled.look_again), LockMode.BLOCKING)

    async def _isolate(self, part: Part, error: Exception, lock_mode: LockMode) -> None:
        if len(part.readable) == 1 and not part.malformed:
            culprit = part.readable[0]
            log.error("handler failed", **culprit.log_fields, exc_info=error)
            await self._settle(Part([], [_given_up(culprit, error)]))
            return
        await self._halve(part, lock_mode)

    async def _halve(self, part: Part, lock_mode: LockMode) -> None:
        if part.malformed:
            await self._settle(Part([], part.malformed))
        for half in part.halves():
            await self._settle(half, lock_mode)

    async def _wait_out(self, error: Exception, backoff: Backoff) -> None:
        """No document is at fault: keep the batch and wait before the next try. Raises Draining once stopped."""
        self._transactor.metrics.retries.labels(type(error).__name__).inc()
        seconds = backoff.next_seconds()
        if isinstance(error, Collision) and backoff.tries <= QUIET_COLLISIONS:
            return
        log.warning("batch failed, retrying", error=one_line(error), tries=backoff.tries)
        try:
            await asyncio.wait_for(self._stopping.wait(), timeout=seconds)
        except TimeoutError:
            return
        raise Draining


def _given_up(culprit: Incoming, error: Exception) -> Malformed:
    return unhandled(culprit, HANDLER_FAILED, f"{type(error).__name__}: {error}", our_fault=True)
