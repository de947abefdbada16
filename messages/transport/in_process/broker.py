"""The Broker protocol inside one process, for the demo and for simulations. Nothing survives the process."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from messages.transport.broker import Arrival, Envelope
from messages.transport.in_process.queues import Consumer
from messages.transport.in_process.routing import Exchanges
from messages.transport.topology import Topology


class InProcessBroker:
    """Implements Broker. Processes that communicate each have their own, made by `beside`."""

    def __init__(self, topology: Topology) -> None:
        self._exchanges = Exchanges(topology)
        self._subscriptions: list[InProcessSubscription] = []
        self._open = False

    def beside(self) -> "InProcessBroker":
        """Another connection to the same queues, as another process would have."""
        other = InProcessBroker(Topology((), (), ()))
        other._exchanges = self._exchanges
        return other

    @property
    def connected(self) -> bool:
        return self._open and all(self._exchanges.has(each.queue) for each in self._subscriptions)

    async def start(self) -> None:
        self._open = True
        for subscription in self._subscriptions:
            subscription.begin()

    async def subscribe(self, queue: str, prefetch: int, on_arrival: Callable[[], None]) -> "InProcessSubscription":
        subscription = InProcessSubscription(self._exchanges, queue, prefetch, on_arrival)
        self._subscriptions.append(subscription)
        if self._open:
            subscription.begin()
        return subscription

    async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
        await asyncio.sleep(0)  # others run here, as they would during a confirm
        if not self._open:
            return [False] * len(envelopes)
        return [self._exchanges.route(each.to, each) or not each.mandatory for each in envelopes]

    async def close(self) -> None:
        self._open = False
        for subscription in self._subscriptions:
            subscription.end()

    def declare(self, topology: Topology) -> None:
        """Create what does not exist yet: a client's own queue, say."""
        self._exchanges.declare(topology)

    def delete(self, queue: str) -> None:
        """Delete a queue with all that is in it."""
        self._exchanges.delete(queue)

    def break_connection(self) -> None:
        """Simulate a network glitch: what is unacknowledged is requeued as failed, and consuming goes on."""
        for subscription in self._subscriptions:
            subscription.end()
        for subscription in self._subscriptions:
            subscription.begin()


class InProcessSubscription:
    """Implements Subscription."""

    def __init__(self, exchanges: Exchanges, queue: str, prefetch: int, on_arrival: Callable[[], None]) -> None:
        self.queue = queue
        self.arrived: deque[Arrival] = deque()
        self._exchanges = exchanges
        self._prefetch = prefetch
        self._on_arrival = on_arrival
        self._consumer: Consumer | None = None
        self._paused = False
        self._stopped = False

    def begin(self) -> None:
        """Consume, from now on or as soon as the queue exists."""
        if self._consumer is None and not self._stopped:
            self._consumer = Consumer(self._prefetch, self._arrive, self._begin_again, cancelled=self._paused)
            self._exchanges.attach(self.queue, self._consumer)

    def end(self) -> None:
        """Lose the consumer."""
        self.arrived.clear()
        if (lost := self._consumer) is not None:
            self._consumer = None
            self._exchanges.detach(self.queue, lost)

    async def acknowledge(self, last: Arrival) -> None:
        if self._consumer is not None and last.epoch is self._consumer:
            self._consumer.settle(last.tag)
            self._exchanges.serve(self.queue)

    async def pause(self) -> None:
        self._paused = True
        if self._consumer is not None:
            self._consumer.cancelled = True

    async def resume(self) -> None:
        self._paused = False
        if self._consumer is not None and not self._stopped:
            self._consumer.cancelled = False
            self._exchanges.serve(self.queue)

    async def stop(self) -> None:
        self._stopped = True
        if self._consumer is not None:
            self._consumer.cancelled = True

    def _begin_again(self) -> None:
        self.end()
        self.begin()

    def _arrive(self, arrival: Arrival) -> None:
        self.arrived.append(arrival)
        self._on_arrival()
