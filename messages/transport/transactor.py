"""One transaction around what a service does, and what follows from its commit: publishing, counting, alarms."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

import structlog

from messages.transport import outbox, parked, timeline
from messages.transport.daemon.metrics import Metrics
from messages.transport.outbox import Row
from messages.transport.postgres import Collision, Database, locking, uncancelled
from messages.transport.publisher import Publisher
from messages.transport.service import Handled, Incoming, Malformed, Said, Service, Transaction
from messages.transport.writing import write

log = structlog.get_logger(__name__)

LOCKED_BATCHES = 50
"""So many batches lock first after one that was in vain: where there are several daemons, almost all."""


class Transactor:
    """Runs handlers and jobs, each in one transaction together with its outbox, and publishes what was committed."""

    def __init__(
        self, service: Service, database: Database, publisher: Publisher, metrics: Metrics, relay_after_seconds: float
    ) -> None:
        self._service = service
        self._relay_after_seconds = relay_after_seconds
        self._locked_batches = 0
        self.database = database
        self.publisher = publisher
        self.metrics = metrics

    async def handle(
        self,
        documents: Sequence[Incoming],
        malformed: Sequence[Malformed] = (),
        *,
        waiting: bool = False,
        locking_first: bool = True,
    ) -> Handled:
        """Handle documents and park malformed ones; all or nothing. Raises what the handler or the database raises.

        `locking_first`: even if the service could do without.
        """

        async def work(tx: Transaction) -> Handled:
            handled = await self._service.handle(tx, documents, waiting) if documents else Handled()
            if waiting and handled.look_again:
                raise RuntimeError("a handler that was allowed to wait has not decided")
            if malformed:
                await parked.park(tx, malformed)
                for document in malformed:
                    handled.said.extend([] if document.our_fault else self._answer(document))
            return handled

        order_ids = {order_id for each in documents if (order_id := each.message.order_id) is not None}
        about_orders = not malformed and all(each.message.ABOUT_AN_ORDER for each in documents)
        if about_orders and not locking_first and not waiting and self._is_calm():
            scope = self.database.session()
        else:
            scope = self.database.transaction(locking(self._service.locks, order_ids))
        handled = await self._run(work, scope)
        self._count_heard(documents, malformed)
        return handled

    async def run(self, work: Callable[[Transaction], Awaitable[Handled]]) -> Handled:
        """Do `work` in a transaction that also keeps what it says; publish after the commit."""
        return await self._run(work, self.database.transaction())

    def _is_calm(self) -> bool:
        """Whether it is worth trying without locks: nobody else has been in the way lately."""
        self._locked_batches -= self._locked_batches > 0
        return self._service.optimistic and not self._locked_batches

    async def _run(
        self, work: Callable[[Transaction], Awaitable[Handled]], scope: AbstractAsyncContextManager[Transaction]
    ) -> Handled:
        confirmed = self.publisher.take_confirmed()
        try:
            async with scope as tx:
                handled = await work(tx)
                rows = await self._write(tx, handled, confirmed)
        except BaseException as error:
            self.publisher.give_back(confirmed)
            if isinstance(error, Collision):
                self._locked_batches = LOCKED_BATCHES
            raise
        self.publisher.offer(rows)
        self._report(handled)
        return handled

    def _answer(self, document: Malformed) -> list[Said]:
        try:
            return self._service.answer_malformed(document)
        except Exception:
            log.exception("parked without an answer", message_id=document.message_id, order_id=document.order_id)
            return []

    async def _write(self, tx: Transaction, handled: Handled, confirmed: list[int]) -> list[Row]:
        rows = outbox.pack(handled.said)
        kept = outbox.keep(rows, self._relay_after_seconds)
        writing = write(tx, [*handled.writes, *timeline.tell(handled.story), *kept, *outbox.forget(confirmed)])
        await (writing if tx.is_in_transaction() else uncancelled(writing))
        return rows

    def _report(self, handled: Handled) -> None:
        for wire_type, number in Counter(type(said.message) for said in handled.said).items():
            self.metrics.said.labels(wire_type.__name__).inc(number)
        for alarm in handled.alarms:
            self.metrics.alarms.labels(alarm.name).inc()
            log.error("alarm", alarm=alarm.name, order_id=alarm.order_id, detail=alarm.detail)

    def _count_heard(self, documents: Sequence[Incoming], malformed: Sequence[Malformed]) -> None:
        self.metrics.batch_documents.observe(len(documents) + len(malformed))
        for kind, number in Counter(type(document.message) for document in documents).items():
            self.metrics.heard.labels(kind.__name__).inc(number)
        for document in malformed:
            self.metrics.parked.labels(document.reason).inc()
            log.warning(
                "parked",
                message_id=document.message_id,
                order_id=document.order_id,
                type=document.wire_type,
                reason=document.reason,
                detail=document.detail,
            )
