"""Moves what the broker dead-lettered, document by document, to the parked documents, which operators look after."""

import asyncio

import structlog

from messages.transport.batches.transactor import Transactor
from messages.transport.broker import Arrival, Broker, Subscription
from messages.transport.document import Reader, documents_in
from messages.transport.faults import one_line
from messages.transport.incoming import Incoming, Malformed, Origin, unhandled
from messages.transport.parked import DEAD_LETTERED, EXPIRED

log = structlog.get_logger(__name__)

PREFETCH = 50
BATCH_DOCUMENTS = 500
RETRY_SECONDS = 2.0


class DeadLetters:
    """Consumes the service's own dead-letter queue, for as long as the service runs."""

    def __init__(self, queue: str, reader: Reader, transactor: Transactor) -> None:
        self._queue = queue
        self._reader = reader
        self._transactor = transactor
        self._arrived = asyncio.Event()

    async def run(self, broker: Broker) -> None:
        subscription = await broker.subscribe(self._queue, PREFETCH, self._arrived.set)
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while subscription.arrived:
                await self._move(subscription)

    async def _move(self, subscription: Subscription) -> None:
        arrival = subscription.arrived[0]
        documents = self._documents(arrival)
        try:
            for start in range(0, len(documents), BATCH_DOCUMENTS):
                await self._transactor.handle((), documents[start : start + BATCH_DOCUMENTS])
        except Exception as error:  # noqa: BLE001  whatever it was, all that can be done is to retry the parking
            log.warning("parking failed, retrying", queue=self._queue, error=one_line(error))
            await asyncio.sleep(RETRY_SECONDS)
            return
        if subscription.arrived and subscription.arrived[0] is arrival:
            subscription.arrived.popleft()
        await subscription.acknowledge(arrival)

    def _documents(self, arrival: Arrival) -> list[Malformed]:
        origin = Origin(self._queue, arrival.provenance)
        park = _given_up if arrival.death is not None and arrival.death.of_failures else _let_expire
        read = (self._reader.read(body, origin) for body in documents_in(arrival))
        return [park(document) if isinstance(document, Incoming) else document for document in read]


def _given_up(document: Incoming) -> Malformed:
    return unhandled(document, DEAD_LETTERED, "delivered too often without being acknowledged", our_fault=True)


def _let_expire(document: Incoming) -> Malformed:
    return unhandled(document, EXPIRED, "expired unread: its sender had set an expiry", our_fault=False)
