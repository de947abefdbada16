"""One transaction around what a service does, and what follows from its commit: publishing, counting, alarms."""

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial

import structlog

from messages.transport import outbox, parked, timeline
from messages.transport.database.lock_mode import CollisionHistory, LockMode
from messages.transport.database.postgres import Database
from messages.transport.database.transactions import Transaction, locking, uncancelled
from messages.transport.database.writing import write
from messages.transport.faults import Collision
from messages.transport.handled import Handled, Outgoing
from messages.transport.incoming import Incoming, Malformed
from messages.transport.log_throttle import KindThrottle
from messages.transport.metrics import Metrics
from messages.transport.outbox import Row
from messages.transport.publisher import OutboxPublisher
from messages.transport.service import Service

log = structlog.get_logger(__name__)


class Transactor:
    """Runs handlers and jobs, each in one transaction together with its outbox, and publishes what was committed."""

    def __init__(
        self,
        service: Service,
        database: Database,
        publisher: OutboxPublisher,
        metrics: Metrics,
        relay_after_seconds: float,
    ) -> None:
        self._service = service
        self._relay_after_seconds = relay_after_seconds
        self._collisions = CollisionHistory()
        self._log_throttle = KindThrottle()
        self._connections_opened = 0
        self.database = database
        self.publisher = publisher
        self.metrics = metrics

    async def handle(
        self,
        documents: Sequence[Incoming],
        malformed: Sequence[Malformed] = (),
        lock_mode: LockMode = LockMode.PESSIMISTIC,
    ) -> Handled:
        """Handle documents and park malformed ones; all or nothing. Raises what the handler or the database raises.

        `lock_mode` is a minimum, raised to `PESSIMISTIC` by malformed or non-order documents, and by recent collisions.
        """
        lock_mode = max(lock_mode, self._least_strict(documents, malformed))
        work = partial(self._handle, documents, malformed, lock_mode)
        try:
            handled = await self._run(work, self._scope(documents, lock_mode))
        except Collision:
            self._collisions.collided(lock_mode)
            raise
        if lock_mode is not LockMode.BLOCKING:  # which documents are looked at again has been counted
            self._count_received(documents, malformed)
        return handled

    async def run(self, work: Callable[[Transaction], Awaitable[Handled]]) -> Handled:
        """Do `work` in a transaction that also keeps its outgoing messages in the outbox; publish after the commit."""
        return await self._run(work, self.database.transaction())

    async def _handle(
        self, documents: Sequence[Incoming], malformed: Sequence[Malformed], lock_mode: LockMode, tx: Transaction
    ) -> Handled:
        self._forget_if_reconnected()
        handled = await self._service.handle(tx, documents, lock_mode) if documents else Handled()
        if lock_mode is LockMode.BLOCKING and handled.look_again:
            raise RuntimeError("a handler must not look again in lock mode BLOCKING")
        if malformed:
            await parked.park(tx, malformed)
        for document in malformed:
            if not document.our_fault:
                handled.outgoing += self._answer(document)
        return handled

    def _forget_if_reconnected(self) -> None:
        """After a failover the new server may lack the last commits and reuse their versions: clear the cache."""
        if self._service.row_cache is not None and self._connections_opened != self.database.connections_opened:
            self._connections_opened = self.database.connections_opened
            self._service.row_cache.clear()

    def _least_strict(self, documents: Sequence[Incoming], malformed: Sequence[Malformed]) -> LockMode:
        about_orders = not malformed and all(each.message.ABOUT_AN_ORDER for each in documents)
        if about_orders and self._service.row_cache is not None:
            return self._collisions.least_strict()
        return LockMode.PESSIMISTIC

    def _scope(self, documents: Sequence[Incoming], lock_mode: LockMode) -> AbstractAsyncContextManager[Transaction]:
        if lock_mode < LockMode.PESSIMISTIC:
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
        if self._service.row_cache is not None:
            self._service.row_cache.put(handled.changes)
        self._report(handled)
        return handled

    def _answer(self, document: Malformed) -> list[Outgoing]:
        try:
            return self._service.answer_malformed(document)
        except Exception:
            log.exception("parked without answering the sender", **document.log_fields)
            return []

    async def _write(self, tx: Transaction, handled: Handled, confirmed: list[int]) -> list[Row]:
        rows = outbox.pack(handled.outgoing)
        kept = outbox.keep(rows, self._relay_after_seconds)
        entries = handled.timeline + timeline.entries_of(handled.alarms) if handled.alarms else handled.timeline
        writing = write(tx, [*handled.writes, *timeline.record(entries), *kept, *outbox.forget(confirmed)])
        asked_at = time.monotonic()
        now = await (writing if tx.is_in_transaction() else uncancelled(writing))
        if now is not None and self._service.row_cache is not None:
            self._service.row_cache.clock.set(now, asked_at)
        return rows

    def _report(self, handled: Handled) -> None:
        self.metrics.sent.count(each.message for each in handled.outgoing)
        self.metrics.outcomes.count(handled.outcomes)
        for alarm in handled.alarms:
            self.metrics.alarms.labels(alarm.name).inc()
            log.error("alarm", alarm=alarm.name, **alarm.log_fields, detail=alarm.detail)
        for parked_id, document in handled.replayed:
            log.info("replayed", parked_id=parked_id, **document.log_fields)

    def _count_received(self, documents: Sequence[Incoming], malformed: Sequence[Malformed]) -> None:
        self.metrics.batch_documents.observe(len(documents) + len(malformed))
        self.metrics.received.count(document.message for document in documents)
        for document in malformed:
            self.metrics.parked.labels(document.reason).inc()
            self._log_parked(document)

    def _log_parked(self, document: Malformed) -> None:
        suppressed = self._log_throttle.suppressed(document.queue, document.reason, document.from_outside)
        if suppressed is not None:
            problem = {"type": document.wire_type, "reason": document.reason, "detail": document.detail}
            log.warning("parked", **document.log_fields, **problem, queue=document.queue, suppressed=suppressed)
