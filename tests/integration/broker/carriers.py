"""Both brokers, as the conformance suite drives them: how to make one, break it, and take a queue away."""

import asyncio
import itertools
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import aio_pika

from messages.transport.addresses import ANSWERS, COMMANDS, DEAD_LETTERS, OUTCOMES, REQUESTS, Address
from messages.transport.broker import ONE_DOCUMENT, Arrival, Broker, Envelope, Subscription
from messages.transport.in_process.broker import InProcessBroker
from messages.transport.rabbitmq.broker import RabbitBroker
from messages.transport.rabbitmq.topology import declare
from messages.transport.topology import EXCHANGES, Arguments, Binding, Queue, Topology
from tests.integration.network import Network

PATIENCE_SECONDS = 60.0
DELIVERY_LIMIT = 2
WORKING: Arguments = {
    "x-queue-type": "quorum",
    "x-delivery-limit": DELIVERY_LIMIT,
    "x-dead-letter-exchange": DEAD_LETTERS,
    "x-dead-letter-routing-key": "dead",
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}
LAUNDERING: Arguments = {**WORKING, "x-dead-letter-exchange": REQUESTS, "x-dead-letter-routing-key": "work"}
QUORUM: Arguments = {"x-queue-type": "quorum"}
TOPOLOGY = Topology(
    EXCHANGES,
    tuple(map(Queue, ("work", "laundry", "other", "dead", "placed", "asked"), (WORKING, LAUNDERING, *[QUORUM] * 4))),
    (
        Binding(COMMANDS, "work", "work"),
        Binding(REQUESTS, "work", "work"),
        Binding(OUTCOMES, "laundered", "laundry"),
        Binding(ANSWERS, "other", "other"),
        Binding(DEAD_LETTERS, "dead", "dead"),
        Binding(REQUESTS, "asked.#", "asked"),
        Binding(COMMANDS, "asked", "asked"),
        Binding(OUTCOMES, "order_placed", "placed"),
        Binding(OUTCOMES, "*.placed", "placed"),
        Binding(OUTCOMES, "*.placed.#", "placed"),
    ),
)
WORK = Address(COMMANDS, "work")
ASKED = Address(COMMANDS, "asked")
OTHER = Address(ANSWERS, "other")


class Carrier(Protocol):
    """Brokers made by one carrier reach the same queues."""

    async def broker(self) -> Broker: ...

    async def break_connections(self, broker: Broker) -> None: ...

    async def delete(self, queue: str) -> None: ...

    async def declare(self) -> None: ...

    async def close(self) -> None: ...


class InProcess:
    def __init__(self) -> None:
        self._first = InProcessBroker(TOPOLOGY)
        self._brokers: list[InProcessBroker] = []

    async def broker(self) -> InProcessBroker:
        self._brokers.append(self._first.beside())
        await self._brokers[-1].start()
        return self._brokers[-1]

    async def break_connections(self, broker: Broker) -> None:
        assert isinstance(broker, InProcessBroker)
        broker.break_connection()

    async def delete(self, queue: str) -> None:
        self._first.delete(queue)

    async def declare(self) -> None:
        self._first.declare(TOPOLOGY)

    async def close(self) -> None:
        for broker in self._brokers:
            await broker.close()


class Rabbit:
    """Every broker has a network of its own, and declares nothing."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._brokers: dict[RabbitBroker, Network] = {}

    async def broker(self) -> RabbitBroker:
        network = Network(self._url)
        await network.plug_in()
        broker = RabbitBroker(network.url, publish_timeout_seconds=PATIENCE_SECONDS)
        self._brokers[broker] = network
        await broker.start()
        await until(lambda: broker.connected)
        return broker

    async def break_connections(self, broker: Broker) -> None:
        assert isinstance(broker, RabbitBroker)
        lost = _open(broker)
        self._brokers[broker].flicker()
        # Each notices by itself: one may be back before another is gone, with all that had arrived.
        await until(lambda: not lost & _open(broker))

    async def delete(self, queue: str) -> None:
        async with await aio_pika.connect(self._url) as connection, connection.channel() as channel:
            await channel.queue_delete(queue)

    async def declare(self) -> None:
        async with await aio_pika.connect(self._url) as connection:
            await declare(connection, TOPOLOGY)

    async def close(self) -> None:
        for broker, network in self._brokers.items():
            await broker.close()
            await network.unplug()


def _open(broker: RabbitBroker) -> set[object]:
    """What it takes for open: connections, and consumers on them."""
    links = (broker._publishing, broker._consuming, broker._outcomes)
    consumers = (each._consumer for each in broker._subscriptions)
    found: set[object] = {*(link._connection for link in links), *consumers}
    return found - {None}


class Reader:
    """Reads a subscription as the transport does: takes from the left, acknowledges when told to."""

    def __init__(self, subscription: Subscription, arrival: asyncio.Event) -> None:
        self.subscription = subscription
        self._arrival = arrival

    @classmethod
    async def of(cls, broker: Broker, queue: str, prefetch: int = 100) -> "Reader":
        arrival = asyncio.Event()
        return cls(await broker.subscribe(queue, prefetch, arrival.set), arrival)

    @property
    def waiting(self) -> deque[Arrival]:
        return self.subscription.arrived

    async def take(self, count: int) -> list[Arrival]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            taken: list[Arrival] = []
            while len(taken) < count:
                while not self.subscription.arrived:
                    self._arrival.clear()
                    await self._arrival.wait()
                taken.append(self.subscription.arrived.popleft())
        return taken

    async def acknowledge(self, arrival: Arrival) -> None:
        await self.subscription.acknowledge(arrival)


async def until(condition: Callable[[], bool]) -> None:
    async def holds() -> bool:
        return condition()

    await eventually(holds)


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Ask again until it holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await holds():  # noqa: ASYNC110 - what a broker does sets no event of ours
            await asyncio.sleep(0.01)


_numbers = itertools.count()


def envelope(body: str = "", to: Address = WORK, *, mandatory: bool = True, message_id: str | None = None) -> Envelope:
    """Said with a body and id of its own."""
    text = body or f"document {next(_numbers)}"
    return Envelope(to, text.encode(), ONE_DOCUMENT, message_id or str(uuid.uuid4()), mandatory=mandatory)


def bodies(arrivals: list[Arrival]) -> list[str]:
    return [arrival.body.decode() for arrival in arrivals]
