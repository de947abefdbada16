"""The broker interface. RabbitMQ and the in-process broker implement it; one test suite checks both."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from messages.transport.addresses import Address
from messages.transport.provenance import Death, Provenance

ONE_DOCUMENT = "application/json"
MANY_DOCUMENTS = "application/x-ndjson"

FAILURES_BEFORE_ISOLATION = 2
"""An arrival that has failed more often is a suspected poison message: it may kill its consumer."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """An AMQP message on its way out: one JSON document, or many, one a line."""

    to: Address
    body: bytes
    content_type: str
    message_id: str
    """Unique among all envelopes in flight: a broker identifies a returned one by nothing else."""
    wire_type: str | None = None
    """Mirrored in the AMQP properties of single documents; decides nothing."""
    correlation_id: str | None = None
    mandatory: bool = True
    """Commands and answers must reach a queue; an outcome need not, as no client may be listening."""


@dataclass(eq=False, slots=True)
class Arrival:
    """An AMQP message that was delivered and is not yet acknowledged."""

    body: bytes
    content_type: str | None
    failures: int
    """How often it was requeued or its consumer was lost: `x-delivery-count`, or 1 for a bare redelivered flag."""
    tag: int
    epoch: object
    """The channel it came from. An acknowledgement never goes to another one."""
    provenance: Provenance
    death: Death | None
    """Only of a dead letter."""

    @property
    def is_envelope(self) -> bool:
        """Whether its lines are documents. A client's message is one document, or its size would not bound its work."""
        return self.content_type == MANY_DOCUMENTS and not self.provenance.from_outside


class Subscription(Protocol):
    """A queue being consumed. Reconnects by itself; what had arrived on a lost channel is dropped from the buffer.

    On a new channel arrivals come one at a time, until the first that is no suspected poison message: when a consumer
    is killed, a failure is counted for all that it holds, and in the end the broker would dead-letter all of them.
    """

    queue: str
    arrived: deque[Arrival]
    """In order of arrival. The reader takes from the left, handles, then acknowledges."""

    async def acknowledge(self, last: Arrival) -> None:
        """Acknowledge `last` and all before it on its channel; nothing happens if that channel is gone."""

    async def pause(self) -> None:
        """Take no more for now, so that messages go to other consumers; what has arrived stays, also unacknowledged."""

    async def resume(self) -> None:
        """Take more again, at once or when all that has arrived is acknowledged."""

    async def stop(self) -> None:
        """Take no more. What is unacknowledged goes back to the queue when the broker is closed."""


class Broker(Protocol):
    """Publishing and consuming, on connections of their own. Waits for the server, and reconnects by itself."""

    @property
    def connected(self) -> bool:
        """Whether all that the service needs is there: connections to publish and consume, no alarm, all queues.

        The connection for outcomes does not count, because a client's queue may block it.
        """

    async def start(self) -> None:
        """Begin to connect, and return at once; the server may be down."""

    async def subscribe(self, queue: str, prefetch: int, on_arrival: Callable[[], None]) -> Subscription:
        """Consume `queue`, now or as soon as the server and the queue are there.

        `on_arrival` is called for each message, often many times in a row: it may only set an event.

        At most `prefetch` messages are unacknowledged, or one more while the first that came on a channel still is.
        """

    async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
        """Publish all at once and wait for the confirms, at most the publish timeout. All are outcomes, or none is.

        True: the broker has it in a queue (or, not mandatory, has seen it). False: refused, returned or unknown;
        publish it again. Never raises because of the broker; being offline costs at most the publish timeout.
        """

    async def close(self) -> None:
        """Close all connections; unacknowledged arrivals go back to their queues."""
