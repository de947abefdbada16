"""Runs the toy on a database and a broker, talks to it as a client does, and looks at what came of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import uuid4

import asyncpg

from messages.contracts.message import Message
from messages.transport.addresses import COMMANDS, OUTCOMES, REQUESTS, Address, queue_name
from messages.transport.broker import MANY_DOCUMENTS, ONE_DOCUMENT, Broker, Envelope, Subscription
from messages.transport.daemon.process import Process
from messages.transport.database.postgres import Database
from messages.transport.document import encode
from messages.transport.handled import Outgoing
from messages.transport.in_process.broker import InProcessBroker
from messages.transport.topology import Binding, Queue, Topology, listener, topology_of
from tests.integration.toy.service import ELSEWHERE, Toy, ToySettings
from tests.integration.toy.waiting import until

PREFETCH = 5_000


def everything(toy: Toy) -> Topology:
    """What the toy needs, also to hear other services; a client's queue of outcomes; and another service's queue."""
    own, client = topology_of([toy.service()]), listener("client")
    envelopes = [Binding(COMMANDS, queue.name, queue.name) for queue in own.queues]
    elsewhere = Binding(ELSEWHERE.exchange, ELSEWHERE.key, ELSEWHERE.key)
    return Topology(
        own.exchanges,
        (*own.queues, *client.queues, Queue(ELSEWHERE.key, {})),
        (*own.bindings, *envelopes, *client.bindings, elsewhere),
    )


@dataclass
class Station:
    """The toy's database, its broker, and a client's connection to that broker."""

    url: str
    connection: "asyncpg.Connection[Any]"
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    toy: Toy = field(default_factory=Toy)
    broker: InProcessBroker = field(init=False)
    client: InProcessBroker = field(init=False)
    told: Subscription = field(init=False)

    @classmethod
    async def open(cls, url: str) -> Self:
        station = cls(url, await asyncpg.connect(url))
        station.broker = InProcessBroker(everything(station.toy))
        station.client = station.broker.beside()
        await station.client.start()
        station.told = await station.client.subscribe(f"{OUTCOMES}.client", PREFETCH, lambda: None)
        return station

    async def close(self) -> None:
        await self.client.close()
        await self.connection.close()

    def settings(self, **given: Any) -> ToySettings:
        values: dict[str, Any] = {"database_url": self.url, "drain_seconds": 60.0}
        return ToySettings(**values | given)

    @asynccontextmanager
    async def running(self, broker: Broker | None = None, **settings: Any) -> AsyncIterator["Running"]:
        """A process of the toy, stopped in order at the end."""
        running = Running(Process(self.toy.service(), self.settings(**settings), broker or self.broker.beside()))
        running.task = asyncio.create_task(running.process.run(running.stop))
        try:
            yield running
        finally:
            self.toy.gate.set()
            running.stop.set()
            await running.task

    async def say(self, *messages: Message) -> None:
        """As a client does: one document a message."""
        for message in messages:
            await self.publish(message.routing_key(), document(message))

    async def say_together(self, *messages: Message) -> None:
        """As another service does: in one envelope, to the queue of the first one's type."""
        lines = b"\n".join(document(message) for message in messages)
        await self.publish(messages[0].routing_key(), lines, MANY_DOCUMENTS)

    async def publish(self, key: str, body: bytes, content_type: str = ONE_DOCUMENT) -> None:
        to = Address(COMMANDS, queue_name("toy", key)) if content_type == MANY_DOCUMENTS else Address(REQUESTS, key)
        envelope = Envelope(to, body, content_type, str(uuid4()))
        assert await self.client.publish([envelope]) == [True]

    def outcomes(self) -> list[dict[str, Any]]:
        """What a client has heard so far."""
        return [json.loads(arrival.body) for arrival in self.told.arrived]

    def texts(self) -> list[str]:
        """The texts of what a client has heard so far."""
        return [outcome["text"] for outcome in self.outcomes() if "text" in outcome]

    async def heard(self) -> list[str]:
        """What was handled, in that order."""
        return [row["text"] for row in await self.rows("SELECT text FROM heard ORDER BY position")]

    async def batches(self) -> list[list[str]]:
        """What was handled, transaction by transaction."""
        rows = await self.rows(
            "SELECT array_agg(text ORDER BY position) FROM heard GROUP BY transaction ORDER BY min(position)"
        )
        return [list(row[0]) for row in rows]

    async def parked(self) -> list[tuple[str, str]]:
        """Reason and detail."""
        rows = await self.rows("SELECT reason, detail FROM parked ORDER BY id")
        return [(row["reason"], row["detail"]) for row in rows]

    async def count(self, table: str) -> int:
        ((counted,),) = await self.rows(f"SELECT count(*) FROM {table}")
        return int(counted)

    async def rows(self, statement: str, *arguments: Any) -> Sequence[Any]:
        async with self.asking:
            return await self.connection.fetch(statement, *arguments)

    async def somebody_waits(self) -> bool:
        """Whether a session of this database waits for a lock."""
        waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return bool(await self.rows(waiting))

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        await until(condition)

    async def until_heard(self, number: int) -> None:
        await self.until_count("heard", number)

    async def until_count(self, table: str, number: int) -> None:
        async def reached() -> bool:
            return await self.count(table) == number

        await until(reached)

    async def until_told(self, number: int) -> None:
        async def reached() -> bool:
            return len(self.told.arrived) >= number

        await until(reached)

    async def until_acknowledged(self, queue: str) -> None:
        """What was committed is acknowledged a moment later, and who stops in between leaves it to be heard again."""

        async def nothing_is_left() -> bool:
            exchanges = self.broker._exchanges
            waiting = bool(exchanges._queues[queue]._ready)
            return not waiting and not any(each.unacknowledged for each in exchanges._consuming(queue))

        await until(nothing_is_left)

    async def left_in(self, queue: str) -> list[bytes]:
        """What nobody has acknowledged. The queue is read by this for ever after."""
        subscription = await self.client.subscribe(queue, PREFETCH, lambda: None)
        return [arrival.body for arrival in subscription.arrived]


@dataclass
class Running:
    process: Process
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None]" = field(init=False)

    async def ready(self) -> None:
        async def is_ready() -> bool:
            return all(self.process._checks().values())

        await until(is_ready)

    def counted(self, name: str, **labels: str) -> float:
        """What a counter of the process has come to."""
        return self.process.metrics.registry.get_sample_value(f"ordersaga_{name}_total", labels) or 0

    async def until_counted(self, name: str, number: int, **labels: str) -> None:
        async def reached() -> bool:
            return self.counted(name, **labels) >= number

        await until(reached)


def document(message: Message) -> bytes:
    return encode(Outgoing(message, Address("", "")))


async def has_lost_what_is_at_hand(database: Database) -> bool:
    """Whether it has noticed that the server has ended its connections."""
    return all(connection.is_closed() for connection in database._at_hand)
