"""An intake that takes from a broker in this process, where a test says how many orders are undecided."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from messages.transport.addresses import COMMANDS, Address
from messages.transport.batches.intake import Intake
from messages.transport.batches.pacing import Pace
from messages.transport.batches.reports import Reports
from messages.transport.batches.taken import Taken
from messages.transport.broker import ONE_DOCUMENT, Arrival, Envelope
from messages.transport.in_process.broker import InProcessBroker
from messages.transport.topology import Binding, Exchange, Queue, Topology

ANSWERS, ORDERS, REPORTS = QUEUES = "answers", "orders", "reports"
DELIVERY_LIMIT = 100
TOPOLOGY = Topology(
    (Exchange(COMMANDS, "direct"),),
    tuple(Queue(name, {"x-delivery-limit": DELIVERY_LIMIT}) for name in QUEUES),
    tuple(Binding(COMMANDS, name, name) for name in QUEUES),
)
MANY = 1_000


class DatabaseIsDown(Exception): ...


class Clock:
    """Stands still, unless a test moves it."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Place:
    """An intake, the broker it takes from, and how many orders are undecided."""

    broker: InProcessBroker = field(default_factory=lambda: InProcessBroker(TOPOLOGY))
    undecided: int = 0
    counted: int = 0
    database_is_down: bool = False
    clock: Clock = field(default_factory=Clock)
    """By which reports have their turn."""
    intake: Intake = field(init=False)

    async def open(
        self,
        *,
        documents: int = MANY,
        size_bytes: int = MANY,
        limit: int | None = None,
        prefetch: int = MANY,
        pace: Pace | None = None,
    ) -> Intake:
        self.intake = Intake(
            batch_documents=documents,
            batch_bytes=size_bytes,
            capacity=None if limit is None else partial(self._capacity, limit),
            pace=pace,
        )
        await self.broker.start()
        await self.intake.subscribe(self.broker, (ANSWERS, prefetch), (ORDERS, prefetch), REPORTS)
        self.intake._reports = Reports(self.intake._subscriptions[-1], self.clock)
        return self.intake

    def watch_acknowledgements(self) -> list[str]:
        """What the last ones were of, from now on."""
        told: list[str] = []
        for subscription in self.intake._subscriptions:
            acknowledge = subscription.acknowledge

            async def watched(last: Arrival, acknowledge: Callable[[Arrival], Awaitable[None]] = acknowledge) -> None:
                await asyncio.sleep(0)  # as it may take a moment to write to a socket
                told.append(last.body.decode())
                await acknowledge(last)

            subscription.acknowledge = watched  # type: ignore[method-assign]
        return told

    async def say(self, queue: str, *bodies: str, content_type: str = ONE_DOCUMENT) -> None:
        envelopes = [Envelope(Address(COMMANDS, queue), body.encode(), content_type, body) for body in bodies]
        assert all(await self.broker.publish(envelopes))

    def consumes_nothing(self) -> bool:
        return all(each._paused for each in self.broker._subscriptions)

    def lose_consumer(self, times: int) -> None:
        for _ in range(times):
            self.broker.break_connection()

    async def acknowledge_and_lose_consumer(self, batch: list[Taken]) -> list[str]:
        """What comes back is what was not acknowledged."""
        await self.intake.acknowledge(batch)
        await self.intake.acknowledge_all()
        self.broker.break_connection()
        return bodies(await self.intake.take())

    async def _capacity(self, limit: int) -> int:
        self.counted += 1
        if self.database_is_down:
            raise DatabaseIsDown
        return limit - self.undecided


def bodies(batch: list[Taken]) -> list[str]:
    return [taken.arrival.body.decode() for taken in batch]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110  what is waited for sets no event
            await asyncio.sleep(0.001)
