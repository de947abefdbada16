"""Leaves the queue of new work alone, so that what has begun can end while nothing new begins."""

from collections import deque
from collections.abc import Callable, Sequence

import structlog

from messages.transport.addresses import queue_name
from messages.transport.broker import Arrival, Broker, Envelope, Subscription
from messages.transport.service import Service

log = structlog.get_logger(__name__)


def withholding(service: Service, broker: Broker) -> Broker:
    """The broker as this service may consume it."""
    return broker if service.takes_new_work else Withholding(broker, queue_name(service.name, service.new_work_queue))


class Withholding:
    """Implements Broker by another one, of which it never consumes `queue`."""

    def __init__(self, broker: Broker, queue: str) -> None:
        self._broker = broker
        self._queue = queue

    @property
    def connected(self) -> bool:
        return self._broker.connected

    async def start(self) -> None:
        await self._broker.start()

    async def subscribe(self, queue: str, prefetch: int, on_arrival: Callable[[], None]) -> Subscription:
        if queue == self._queue:
            log.warning("taking no new work", queue=queue)
            return Withheld(queue)
        return await self._broker.subscribe(queue, prefetch, on_arrival)

    async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
        return await self._broker.publish(envelopes)

    async def close(self) -> None:
        await self._broker.close()


class Withheld:
    """Implements Subscription: nothing ever arrives."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        self.arrived: deque[Arrival] = deque()

    async def acknowledge(self, last: Arrival) -> None: ...

    async def pause(self) -> None: ...

    async def resume(self) -> None: ...

    async def stop(self) -> None: ...
