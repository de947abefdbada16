"""One transaction around what a service does, and what follows from its commit: publishing, counting, alarms."""

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

import structlog

from messages.transport import outbox, parked, timeline
from messages.transport.faults import Collision
from messages.transport.flood import Flood
from messages.transport.incoming import Incoming, Malformed
from messages.transport.metrics import Metrics
from messages.transport.outbox import Row
from messages.transport.postgres import Database
from messages.transport.publisher import Publisher
from messages.transport.service import Care, Handled, Said, Service, Transaction
from messages.transport.transactions import locking, uncancelled
from messages.transport.writing import write

log = structlog.get_logger(__name__)

AVOIDED_BATCHES = 50
"""After a collision, that level is skipped for this many batches, retries counted.

Where several daemons take turns, it is skipped nearly always.
"""


class Caution:
    """Which optimistic levels collided lately, so that they are skipped for a while."""

    def __init__(self) -> None:
        self._avoided = {Care.REMEMBERING: 0, Care.READING: 0}

    def least_care(self) -> Care:
        """The lowest level to try for the next batch."""
        least = Care.LOCKING
        for care, batches in reversed(self._avoided.items()):
            if not batches:
                least = care
            else:
                self._avoided[care] = batches - 1
        return least

    def was_in_vain(self, care: Care) -> None:
        if care in self._avoided:
            self._avoided[care] = AVOIDED_BATCHES


class Transactor:
    """Runs handlers and jobs, each in one transaction together with its outbox, and publishes what was committed."""

    def __init__(
        self, service: Service, database: Database, publisher: Publisher, metrics: Metrics, relay_after_seconds: float
    ) -> None:
        self._service = service
        self._relay_after_seconds = relay_after_seconds
        self._caution = Caution()
        self._flood = Flood()
        self._connections_opened = 0
        self.database = database
        self.publisher = publisher
        self.metrics = metrics

    async def handle(
        self, documents: Sequence[Incoming], malformed: Sequence[Malformed] = (), care: Care = Care.LOCKING
    ) -> Handled:
        """Handle documents and park malformed ones; all or nothing. Raises what the handler or the database raises.

        `care` is a minimum, raised to `LOCKING` by malformed or non-order documents, and by recent collisions.
        """
        care = max(care, self._least_care(documents, malformed))

        async def work(tx: Transaction) -> Handled:
            self._forget_if_reconnected()
            handled = await self._service.handle(tx, documents, care) if documents else Handled()
            if care is Care.WAITING and handled.look_again:
                raise RuntimeError("a handler that was allowed to wait has not decided")
            if malformed:
                await parked.park(tx, malformed)
                for document in malformed:
                    handled.said.extend([] if document.our_fault else self._answer(document))
            return handled

        try:
            handled = await self._run(work, self._scope(documents, care))
        except Collision:
            self._caution.was_in_vain(care)
            raise
        if care is not Care.WAITING:  # which documents are looked at again has been counted
            self._count_heard(documents, malformed)
        return handled

    async def run(self, work: Callable[[Transaction], Awaitable[Handled]]) -> Handled:
        """Do `work` in a transaction that also keeps its outgoing messages in the outbox; publish after the commit."""
        return await self._run(work, self.database.transaction())

    def _forget_if_reconnected(self) -> None:
        """After a failover the new server may lack the last commits and reuse their versions: clear the cache."""
        if self._service.memory is not None and self._connections_opened != self.database.connections_opened:
            self._connections_opened = self.database.connections_opened
            self._service.memory.forget()

    def _least_care(self, documents: Sequence[Incoming], malformed: Sequence[Malformed]) -> Care:
        about_orders = not malformed and all(each.message.ABOUT_AN_ORDER for each in documents)
        return self._caution.least_care() if about_orders and self._service.memory is not None else Care.LOCKING

    def _scope(self, documents: Sequence[Incoming], care: Care) -> AbstractAsyncContextManager[Transaction]:
        if care < Care.LOCKING:
            return self.database.session()
        order_ids = {order_id for each in documents if (order_id := each.message.order_id) is not None}
        return self.database.transaction(locking(self._service.locks, order_ids))

    async def _run(
        self, work: Callable[[Transaction], Awaitable[Handled]], scope: AbstractAsyncContextManager[Transaction]
    ) -> Handled:
        confirmed = self.publisher.take_confirmed()
        try:
            async with scope as tx:
                handled = await work(tx)
                rows = await self._write(tx, handled, confirmed)
        except BaseException:
            self.publisher.give_back(confirmed)
            raise
        self.publisher.offer(rows)
        if self._service.memory is not None:
            self._service.memory.keep(handled.changes)
        self._report(handled)
        return handled

    def _answer(self, document: Malformed) -> list[Said]:
        try:
            return self._service.answer_malformed(document)
        except Exception:
            log.exception("parked without an answer", **document.about)
            return []

    async def _write(self, tx: Transaction, handled: Handled, confirmed: list[int]) -> list[Row]:
        rows = outbox.pack(handled.said)
        kept = outbox.keep(rows, self._relay_after_seconds)
        story = handled.story + timeline.notes_of(handled.alarms) if handled.alarms else handled.story
        writing = write(tx, [*handled.writes, *timeline.tell(story), *kept, *outbox.forget(confirmed)])
        asked_at = time.monotonic()
        now = await (writing if tx.is_in_transaction() else uncancelled(writing))
        if now is not None and self._service.memory is not None:
            self._service.memory.clock.set(now, asked_at)
        return rows

    def _report(self, handled: Handled) -> None:
        self.metrics.said.count(said.message for said in handled.said)
        self.metrics.outcomes.count(handled.outcomes)
        for alarm in handled.alarms:
            self.metrics.alarms.labels(alarm.name).inc()
            log.error("alarm", alarm=alarm.name, **alarm.about, detail=alarm.detail)

    def _count_heard(self, documents: Sequence[Incoming], malformed: Sequence[Malformed]) -> None:
        self.metrics.batch_documents.observe(len(documents) + len(malformed))
        self.metrics.heard.count(document.message for document in documents)
        for document in malformed:
            self.metrics.parked.labels(document.reason).inc()
            self._tell_of(document)

    def _tell_of(self, document: Malformed) -> None:
        untold = self._flood.untold(document.queue, document.reason, document.from_outside)
        if untold is not None:
            told = {"type": document.wire_type, "reason": document.reason, "detail": document.detail}
            log.warning("parked", **document.about, **told, queue=document.queue, untold=untold)
