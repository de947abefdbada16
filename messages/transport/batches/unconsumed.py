"""A queue that is left alone."""

from collections import deque

import structlog

from messages.transport.broker import Arrival

log = structlog.get_logger(__name__)


class Unconsumed:
    """Implements Subscription without a broker: nothing ever arrives, so that what is in the queue stays there."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        self.arrived: deque[Arrival] = deque()
        log.warning("taking no new work", queue=queue)

    async def acknowledge(self, last: Arrival) -> None: ...

    async def pause(self) -> None: ...

    async def resume(self) -> None: ...

    async def stop(self) -> None: ...
