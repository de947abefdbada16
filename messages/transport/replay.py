"""Handles parked documents again, on request: a batch of them in one transaction with the deletion of their rows."""

from collections.abc import Sequence
from itertools import takewhile
from typing import TypeAlias

import structlog

from messages.transport import parked
from messages.transport.database.lock_mode import LockMode
from messages.transport.database.transactions import Transaction, locking, savepoint
from messages.transport.database.writing import write
from messages.transport.document import Reader
from messages.transport.faults import is_infrastructure
from messages.transport.handled import Handled
from messages.transport.incoming import Incoming, Malformed, Origin
from messages.transport.parked import Parked
from messages.transport.provenance import Provenance
from messages.transport.service import Service

log = structlog.get_logger(__name__)

ADVISORY_LOCK = 7_305_812_029
DOCUMENTS = 100
SIZE_BYTES = 65_536
"""Of a batch: what suppliers and the fleet report comes in batches of that size too. No order waits for longer."""

Batch: TypeAlias = Sequence[tuple[Parked, Incoming]]


class LookAgain(Exception):
    """A batch does not wait for locked units, and nothing looks again after a replay: it waits for a document alone."""


class Replay:
    """A job: one batch a run, and again at once while there are more. One process at a time; the others skip it.

    A batch that fails is undone, and the next one is half as large, until the document at fault is alone.
    """

    def __init__(self, service: Service, reader: Reader) -> None:
        self._service = service
        self._reader = reader
        self._most = DOCUMENTS

    async def next(self, tx: Transaction) -> Handled:
        if not await tx.fetchval(f"SELECT pg_try_advisory_xact_lock({ADVISORY_LOCK})"):
            return Handled()  # another process would overtake this one
        rows = await parked.take_for_replay(tx, self._most, SIZE_BYTES)
        documents = self._reader.read_all([row.body for row in rows], list(map(_origin, rows)))
        found = list(zip(rows, documents, strict=True))
        readable = [(row, document) for row, document in found if isinstance(document, Incoming)]
        handled = await self._try(tx, _first_alike(readable)) if readable else Handled()
        for row, document in found:
            if isinstance(document, Malformed):
                await parked.keep_parked(tx, row.id, document.reason, document.detail)
                log.warning("replay failed", parked_id=row.id, **document.log_fields, reason=document.reason)
        handled.more = bool(rows)
        return handled

    async def _try(self, tx: Transaction, batch: Batch) -> Handled:
        try:
            async with savepoint(tx):
                handled = await self._handle(tx, batch)
        except Exception as error:
            self._most = max(1, len(batch) // 2)
            if is_infrastructure(error):
                raise
            if len(batch) == 1:
                await _give_up(tx, *batch[0], error)
            return Handled()
        self._most = min(2 * len(batch), DOCUMENTS)
        return handled

    async def _handle(self, tx: Transaction, batch: Batch) -> Handled:
        documents = [document for _, document in batch]
        order_ids = {order_id for each in documents if (order_id := each.message.order_id) is not None}
        if lock := locking(self._service.locks, order_ids):
            await tx.execute(lock)
        lock_mode = LockMode.BLOCKING if len(batch) == 1 else LockMode.PESSIMISTIC
        handled = await self._service.handle(tx, documents, lock_mode)
        if handled.look_again:
            raise LookAgain(f"still undecided: {len(handled.look_again)} of {len(batch)}")
        await write(tx, handled.writes)
        handled.writes = []
        await parked.discard(tx, [row.id for row, _ in batch])
        handled.replayed = [(row.id, document) for row, document in batch]
        return handled


def _first_alike(readable: Batch) -> Batch:
    """Those before the first of another kind: a handler looks at units before it looks at orders."""
    about_an_order = readable[0][1].message.ABOUT_AN_ORDER
    return list(takewhile(lambda each: each[1].message.ABOUT_AN_ORDER is about_an_order, readable))


async def _give_up(tx: Transaction, row: Parked, document: Incoming, error: Exception) -> None:
    await parked.keep_parked(tx, row.id, parked.HANDLER_FAILED, f"{type(error).__name__}: {error}")
    log.error("replay failed", parked_id=row.id, **document.log_fields, reason=parked.HANDLER_FAILED, exc_info=error)


def _origin(row: Parked) -> Origin:
    """As it was on arrival: what was forbidden then stays forbidden in a replay."""
    if row.reason == parked.FORBIDDEN:
        return Origin(row.queue, Provenance.UNTRUSTED_ROUTE)
    return Origin(row.queue, Provenance.CLIENT if row.from_outside else Provenance.INTERNAL)
