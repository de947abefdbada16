"""A broker whose acknowledgements a test sees, and may let be lost."""

from collections.abc import Awaitable, Callable

from messages.transport.broker import Arrival
from messages.transport.in_process.broker import InProcessBroker, InProcessSubscription
from messages.transport.topology import Topology


class WatchedBroker(InProcessBroker):
    """Calls `on_acknowledge` before each acknowledgement; where that says no, the acknowledgement is lost."""

    def __init__(self, beside: InProcessBroker, on_acknowledge: Callable[[], Awaitable[bool]]) -> None:
        super().__init__(Topology((), (), ()))
        self._exchanges = beside._exchanges
        self._on_acknowledge = on_acknowledge

    async def subscribe(self, queue: str, prefetch: int, on_arrival: Callable[[], None]) -> InProcessSubscription:
        subscription = await super().subscribe(queue, prefetch, on_arrival)
        acknowledge = subscription.acknowledge

        async def watched(last: Arrival) -> None:
            if await self._on_acknowledge():
                await acknowledge(last)

        subscription.acknowledge = watched  # type: ignore[method-assign]
        return subscription
