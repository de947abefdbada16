"""Takes orders through the services' handlers, batch by batch and without a broker, and records every statement."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import uuid4

import asyncpg

from bench.workload import Ask, Workload, sku, store_id, zone
from messages.contracts.message import Message
from messages.contracts.order import Line, OrderRequested
from messages.transport import timeline
from messages.transport.addresses import OUTCOMES
from messages.transport.database.lock_mode import LockMode
from messages.transport.database.writing import write
from messages.transport.handled import Outgoing
from messages.transport.incoming import Incoming
from messages.transport.outbox import forget, keep, pack
from messages.transport.service import Service

BATCH = 500
RELAY_AFTER_SECONDS = 15.0
METHODS = frozenset({"execute", "fetch", "fetchrow", "fetchval"})


class Recorded(NamedTuple):
    """One call of asyncpg's."""

    method: str
    sql: str
    arguments: tuple[Any, ...]


class Recorder:
    """A connection that records its calls."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.recorded: list[Recorded] = []

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._connection, name)
        if name not in METHODS:
            return attribute

        async def call(sql: str, *arguments: Any) -> Any:
            self.recorded.append(Recorded(name, sql, arguments))
            return await attribute(sql, *arguments)

        return call


@dataclass(slots=True)
class Stage:
    """A service on its connection, and the outbox rows that its next transaction deletes."""

    service: Service
    recorder: Recorder
    confirmed: list[int] = field(default_factory=list)

    async def handle(self, batch: Sequence[Incoming]) -> list[Outgoing]:
        """What the transport does with a batch that meets no conflict, with outbox and timeline."""
        tx: Any = self.recorder
        handled = await self.service.handle(tx, batch, LockMode.OPTIMISTIC)
        rows = pack(handled.outgoing)
        kept = keep(rows, RELAY_AFTER_SECONDS)
        # A lease that is assigned in time is over when this is replayed.
        writes = [each._replace(before=None) for each in handled.writes]
        now = await write(tx, [*writes, *timeline.record(handled.timeline), *kept, *forget(self.confirmed)])
        if now is not None and self.service.row_cache is not None:
            self.service.row_cache.clock.set(now, self.service.row_cache.clock.monotonic())
            self.service.row_cache.put(handled.changes)
        self.confirmed = [row.id for row in rows]
        return handled.outgoing


async def record(
    services: Mapping[str, Service], urls: Mapping[str, str], workload: Workload
) -> dict[str, list[Recorded]]:
    """Take all orders of the workload from request to confirmation; the statements of each service."""
    connections = {name: await asyncpg.connect(urls[name], server_settings={"jit": "off"}) for name in services}
    stages = {name: Stage(service, Recorder(connections[name])) for name, service in services.items()}
    try:
        for asks in _batches(list(workload.asks())):
            await _take_through(stages, asks)
    finally:
        for connection in connections.values():
            await connection.close()
    return {name: stage.recorder.recorded for name, stage in stages.items()}


async def _take_through(stages: Mapping[str, Stage], asks: Sequence[Ask]) -> None:
    waiting = deque([("order_saga", [_incoming(_request(ask)) for ask in asks])])
    while waiting:
        service, batch = waiting.popleft()
        outgoing = await stages[service].handle(batch)
        waiting.extend(_addressed(outgoing))


def _addressed(outgoing: Iterable[Outgoing]) -> Iterator[tuple[str, list[Incoming]]]:
    """What each service receives next, in batches."""
    received: dict[str, list[Incoming]] = {}
    for each in outgoing:
        if each.to.exchange != OUTCOMES:
            received.setdefault(each.to.key.partition(".")[0], []).append(_incoming(each.message))
    for service, documents in received.items():
        for batch in _batches(documents):
            yield service, list(batch)


def _batches(documents: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(documents), BATCH):
        yield documents[start : start + BATCH]


def _request(ask: Ask) -> OrderRequested:
    return OrderRequested(
        order_id=uuid4(),
        customer_id="customer-000001",
        store_id=store_id(ask.store),
        zone=zone(ask.zone),
        lines=(Line(sku=sku(ask.sku), quantity=1, price_cents=249),),
    )


def _incoming(message: Message) -> Incoming:
    message_id = uuid4()
    return Incoming(message, message_id, f"00-{message_id.hex}-{message_id.hex[:16]}-01")
