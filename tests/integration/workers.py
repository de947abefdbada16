"""A worker's service without a broker: passes messages to it as the consumer does, and keeps its answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID, uuid4

import pytest

from messages.contracts.message import Message
from messages.transport.batches.transactor import Transactor
from messages.transport.database import postgres, row_cache, transactions, watchdog
from messages.transport.database.lock_mode import LockMode
from messages.transport.database.postgres import Database
from messages.transport.database.transactions import Transaction, locking
from messages.transport.database.writing import write
from messages.transport.faults import Collision
from messages.transport.handled import Handled
from messages.transport.in_process.broker import InProcessBroker
from messages.transport.incoming import Incoming
from messages.transport.metrics import Metrics
from messages.transport.publisher import OutboxPublisher
from messages.transport.service import Service
from messages.transport.topology import Topology

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def trust_the_clock_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, what is remembered of the time lasts until the end of the test."""
    for name in ("TRUSTED_SECONDS", "PUNCTUAL_SECONDS"):
        monkeypatch.setattr(row_cache, name, 3_600.0)


def wait_for_the_database_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is: for a connection, or a rollback; and nobody takes one that rests for hung."""
    monkeypatch.setattr(postgres, "CONNECT_SECONDS", 120.0)
    monkeypatch.setattr(transactions, "LAST_WORD_SECONDS", 120.0)
    monkeypatch.setattr(watchdog, "SILENT_SECONDS", 3_600.0)


def heard(message: Message) -> Incoming:
    return Incoming(message, uuid4(), TRACE)


def locks(service: Service, messages: Sequence[Message]) -> str:
    return locking(service.locks, {message.order_id for message in messages if message.order_id is not None})


@dataclass
class Worker:
    """One daemon. `collisions` counts how often a batch had to be handled again."""

    service: Service
    database: Database
    collisions: int = 0
    looked_again: int = 0
    handled: list[Handled] = field(default_factory=list)
    publishers: list[OutboxPublisher] = field(default_factory=list)

    @classmethod
    async def start(cls, service: Service, url: str) -> Self:
        database = Database(url)
        await database.open()
        return cls(service, database)

    async def stop(self) -> None:
        for publisher in self.publishers:
            await publisher.abandon()  # or they would go on, and log, in the tests that follow
        await self.database.close()

    async def hear(self, *messages: Message) -> list[Message]:
        """The answers, once everything is committed; what had to be looked at again comes last."""
        return await self.hear_documents([heard(message) for message in messages])

    async def hear_documents(
        self, documents: Sequence[Incoming], lock_mode: LockMode = LockMode.PESSIMISTIC
    ) -> list[Message]:
        handled = await self._commit(documents, lock_mode)
        self.handled.append(handled)
        answers = [said.message for said in handled.outgoing]
        if handled.look_again:
            self.looked_again += len(handled.look_again)
            answers += await self.hear_documents(handled.look_again, LockMode.BLOCKING)
        return answers

    async def run(self, job_name: str) -> list[Message]:
        """What a scheduled job says, as often as it asks to be run."""
        job = next(job for job in self.service.jobs if job.name == job_name)
        said: list[Message] = []
        while True:
            async with self.database.transaction() as tx:
                handled = await job.run(tx)
            self.handled.append(handled)
            said += [each.message for each in handled.outgoing]
            if not handled.more:
                return said

    def transactor(self) -> Transactor:
        """What the daemon handles and replays with; what it says goes nowhere."""
        publisher = OutboxPublisher(InProcessBroker(Topology((), (), ())), 64)
        self.publishers.append(publisher)
        return Transactor(self.service, self.database, publisher, Metrics(), 15.0)

    @property
    def alarms(self) -> list[str]:
        """Of each is known what caused it, for the log."""
        alarms = [alarm for handled in self.handled for alarm in handled.alarms]
        assert all(alarm.log_fields["trace_id"] for alarm in alarms)
        return [alarm.name for alarm in alarms]

    @property
    def timeline(self) -> list[tuple[str, str]]:
        return [(note.event, note.detail) for handled in self.handled for note in handled.timeline]

    async def _commit(self, documents: Sequence[Incoming], lock_mode: LockMode) -> Handled:
        while True:
            try:
                async with self.database.transaction(locks(self.service, [each.message for each in documents])) as tx:
                    handled = await self.service.handle(tx, documents, lock_mode)
                    await write(tx, handled.writes)
            except Collision:
                self.collisions += 1
                lock_mode = LockMode.PESSIMISTIC
                continue
            if self.service.row_cache is not None:
                self.service.row_cache.put(handled.changes)
            return handled

    async def query(self, sql: str, *arguments: Any) -> list[dict[str, Any]]:
        async with self.database.transaction() as tx:
            return [dict(row) for row in await tx.fetch(sql, *arguments)]

    async def execute(self, sql: str, *arguments: Any) -> None:
        async with self.database.transaction() as tx:
            await tx.execute(sql, *arguments)

    async def holdings(self) -> dict[UUID, str]:
        return {row["order_id"]: row["state"] for row in await self.query("SELECT * FROM published.holdings")}

    async def holding(self, order_id: UUID) -> dict[str, Any]:
        (row,) = await self.query("SELECT * FROM published.holdings WHERE order_id = $1", order_id)
        return row

    async def stock(self) -> dict[str, str]:
        return {row["unit_id"]: row["state"] for row in await self.query("SELECT * FROM published.stock")}

    async def expire(self, order_id: UUID) -> None:
        """Let the lease of an order be over, as if time had passed."""
        await self.execute(
            "UPDATE reservation SET expires_at = clock_timestamp(), due_at = clock_timestamp() WHERE order_id = $1",
            order_id,
        )


async def is_waiting_for_a_lock(tx: Transaction, count: int = 1) -> bool:
    """Whether that many other sessions of this database are waiting for a lock."""
    waiting: int = await tx.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return waiting >= count


def in_seconds(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)
