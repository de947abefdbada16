"""The queues of the in-process broker: which consumer is next, what is requeued, and what is dead-lettered."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from messages.transport.addresses import Address
from messages.transport.broker import FAILURES_BEFORE_ISOLATION, Arrival, Envelope
from messages.transport.provenance import FAILED_TOO_OFTEN, Death, provenance_of
from messages.transport.topology import Queue

DELIVERY_LIMIT = 20
"""If a queue sets none, as in RabbitMQ 4."""


@dataclass(slots=True)
class Kept:
    """A message in a queue: how it came there, and how often it was requeued."""

    envelope: Envelope
    exchange: str
    death: Death | None
    failures: int = 0


@dataclass(eq=False, slots=True)
class Consumer:
    """Consumes one queue until it is lost: the epoch of its arrivals."""

    prefetch: int
    deliver: Callable[[Arrival], None]
    on_lost: Callable[[], None]
    unacknowledged: dict[int, Kept] = field(default_factory=dict)
    last_tag: int = 0
    cancelled: bool = False
    one_at_a_time: bool = True

    @property
    def has_capacity(self) -> bool:
        return not self.cancelled and len(self.unacknowledged) < (1 if self.one_at_a_time else self.prefetch)

    def take(self, kept: Kept) -> None:
        self.last_tag += 1
        self.unacknowledged[self.last_tag] = kept
        self.one_at_a_time &= kept.failures > FAILURES_BEFORE_ISOLATION
        body, content_type = kept.envelope.body, kept.envelope.content_type
        provenance = provenance_of(kept.exchange, kept.death)
        self.deliver(Arrival(body, content_type, kept.failures, self.last_tag, self, provenance, kept.death))

    def settle(self, last_tag: int) -> None:
        """Forget all up to and including `last_tag`."""
        for tag in [tag for tag in self.unacknowledged if tag <= last_tag]:
            del self.unacknowledged[tag]


class KeptQueue:
    """Messages in order, requeued ones before the others."""

    def __init__(
        self, queue: Queue, consumers: deque[Consumer], give_up: Callable[[Address, Envelope, Death], object]
    ) -> None:
        arguments = queue.arguments
        self._limit = int(arguments.get("x-delivery-limit", DELIVERY_LIMIT))
        self._dead = Address(
            str(arguments.get("x-dead-letter-exchange", "")), str(arguments.get("x-dead-letter-routing-key", ""))
        )
        self._consumers = consumers
        self._give_up = give_up
        self._ready: deque[Kept] = deque()

    def put(self, kept: Kept) -> None:
        self._ready.append(kept)
        self.serve()

    def serve(self) -> None:
        """Hand out messages in turn while a consumer has capacity."""
        while self._ready and (consumer := self._next_with_room()):
            consumer.take(self._ready.popleft())

    def take_back(self, returned: Iterable[Kept]) -> None:
        """Requeue each with one more failure; what failed too often is dead-lettered."""
        stay: list[Kept] = []
        for kept in returned:
            kept.failures += 1
            if kept.failures > self._limit:
                death = Death(FAILED_TOO_OFTEN, kept.exchange, first=kept.death is None)
                self._give_up(self._dead, kept.envelope, death)
            else:
                stay.append(kept)
        self._ready.extendleft(reversed(stay))
        self.serve()

    def _next_with_room(self) -> Consumer | None:
        for _ in range(len(self._consumers)):
            self._consumers.rotate(-1)
            if self._consumers[-1].has_capacity:
                return self._consumers[-1]
        return None
