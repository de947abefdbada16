"""A broker for a worker that can be made to stall: it gets nothing from one queue for a while, and then everything."""

from collections.abc import Callable, Sequence

from messages.transport.broker import Broker, Envelope, Subscription


class StallingBroker:
    """Implements Broker; `stall` and `let_go` decide whether `queue` is consumed."""

    def __init__(self, broker: Broker, queue: str) -> None:
        self._broker = broker
        self._queue = queue
        self._stalling: list[Subscription] = []

    async def stall(self) -> None:
        for subscription in self._stalling:
            await subscription.pause()

    async def let_go(self) -> None:
        for subscription in self._stalling:
            await subscription.resume()

    @property
    def connected(self) -> bool:
        return self._broker.connected

    async def start(self) -> None:
        await self._broker.start()

    async def subscribe(self, queue: str, prefetch: int, on_arrival: Callable[[], None]) -> Subscription:
        subscription = await self._broker.subscribe(queue, prefetch, on_arrival)
        if queue == self._queue:
            self._stalling.append(subscription)
        return subscription

    async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
        return await self._broker.publish(envelopes)

    async def close(self) -> None:
        await self._broker.close()
