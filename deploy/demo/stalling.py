"""A broker for a worker that can be made to stall: it gets nothing from one queue for a while, and then everything."""

from collections import deque
from collections.abc import Callable, Sequence

from messages.transport.broker import Arrival, Broker, Envelope, Subscription


class StallingBroker:
    """Implements Broker; `stall` and `let_go` decide when arrivals of `queue` are seen."""

    def __init__(self, broker: Broker, queue: str) -> None:
        self._broker = broker
        self._queue = queue
        self._stalled: list[StallingSubscription] = []

    def stall(self) -> None:
        for subscription in self._stalled:
            subscription.stall()

    def let_go(self) -> None:
        for subscription in self._stalled:
            subscription.let_go()

    @property
    def connected(self) -> bool:
        return self._broker.connected

    async def start(self) -> None:
        await self._broker.start()

    async def subscribe(self, queue: str, prefetch: int, on_arrival: Callable[[], None]) -> Subscription:
        subscription = await self._broker.subscribe(queue, prefetch, on_arrival)
        if queue != self._queue:
            return subscription
        self._stalled.append(StallingSubscription(subscription, on_arrival))
        return self._stalled[-1]

    async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
        return await self._broker.publish(envelopes)

    async def close(self) -> None:
        await self._broker.close()


class StallingSubscription:
    """Implements Subscription; while stalled, arrivals are hidden."""

    def __init__(self, subscription: Subscription, on_arrival: Callable[[], None]) -> None:
        self.queue = subscription.queue
        self.arrived = subscription.arrived
        self._subscription = subscription
        self._on_arrival = on_arrival

    def stall(self) -> None:
        self.arrived = deque()

    def let_go(self) -> None:
        self.arrived = self._subscription.arrived
        self._on_arrival()

    async def acknowledge(self, last: Arrival) -> None:
        await self._subscription.acknowledge(last)

    async def pause(self) -> None:
        await self._subscription.pause()

    async def resume(self) -> None:
        await self._subscription.resume()

    async def stop(self) -> None:
        await self._subscription.stop()
