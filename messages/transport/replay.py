"""Handles parked documents again, on request: each in one transaction with the deletion of its row."""

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


class Replay:
    """A job: one row a run, and again at once while there are more."""

    def __init__(self, service: Service, reader: Reader) -> None:
        self._service = service
        self._reader = reader

    async def next(self, tx: Transaction) -> Handled:
        row = await parked.take_for_replay(tx)
        if row is None:
            return Handled()
        document = self._reader.read(row.body, _origin(row))
        handled = Handled()
        if isinstance(document, Malformed):
            await parked.keep_parked(tx, row.id, document.reason, document.detail)
            log.warning("replay failed", parked_id=row.id, **document.log_fields, reason=document.reason)
        else:
            handled = await self._try(tx, row, document)
        handled.more = True
        return handled

    async def _try(self, tx: Transaction, row: Parked, document: Incoming) -> Handled:
        try:
            async with savepoint(tx):
                handled = await self._handle(tx, row, document)
        except Exception as error:
            if is_infrastructure(error):
                raise
            await parked.keep_parked(tx, row.id, parked.HANDLER_FAILED, f"{type(error).__name__}: {error}")
            log.exception("replay failed", parked_id=row.id, **document.log_fields, reason=parked.HANDLER_FAILED)
            return Handled()
        log.info("replayed", parked_id=row.id, **document.log_fields)
        return handled

    async def _handle(self, tx: Transaction, row: Parked, document: Incoming) -> Handled:
        order_id = document.message.order_id
        if order_id is not None and self._service.locks is not None:
            await tx.execute(locking(self._service.locks, [order_id]))
        handled = await self._service.handle(tx, [document], LockMode.BLOCKING)  # nothing handles `look_again`
        await write(tx, handled.writes)
        handled.writes = []
        await parked.discard(tx, [row.id])
        return handled


def _origin(row: Parked) -> Origin:
    """As it was on arrival: what was forbidden then stays forbidden in a replay."""
    if row.reason == parked.FORBIDDEN:
        return Origin(row.queue, Provenance.UNTRUSTED_ROUTE)
    return Origin(row.queue, Provenance.CLIENT if row.from_outside else Provenance.INTERNAL)
