"""The arrivals of one consumer on one channel, and their acknowledgement on that very channel."""

from collections import deque
from collections.abc import Callable

from messages.transport.broker import FAILURES_BEFORE_ISOLATION, ONE_DOCUMENT, Arrival
from messages.transport.provenance import Death, provenance_of
from messages.transport.rabbitmq.fast_channel import FastChannel, Method
from messages.transport.rabbitmq.frames import (
    TAG_AND_BITS_BYTES,
    acknowledged,
    content_type,
    death,
    deliver_to,
    failures,
    short_string,
    tag_and_bit,
)
from messages.transport.strict_json import DOCUMENT_BYTES

CAUTIOUS_CONSUMER, CONSUMER = "consumer:1", "consumer:n"
"""The tags of a channel's two consumers: the second replaces the first, and counts only its own messages as prefetched.

Under one tag for both, RabbitMQ 3.10 would fail at what the first has not acknowledged yet.
"""
_BEGINNINGS = (deliver_to(CAUTIOUS_CONSUMER), deliver_to(CONSUMER))
_BEGINNING_BYTES = len(_BEGINNINGS[0])


class Arrivals:
    """Appends arrivals to its subscription's buffer until stopped. It is the `epoch` of those arrivals."""

    def __init__(
        self,
        channel: FastChannel,
        arrived: deque[Arrival],
        on_arrival: Callable[[], None],
        on_first_harmless: Callable[[], None],
    ) -> None:
        self.channel = channel
        self._arrived = arrived
        self._on_arrival = on_arrival
        self._on_first_harmless: Callable[[], None] | None = on_first_harmless
        self._tag, self._redelivered, self._exchange = 0, 0, ""
        self._acknowledged = 0
        self._stopped = False
        # Before the queue is consumed: the first message may arrive in the same read as ConsumeOk.
        channel.hand_to(self)

    @property
    def unacknowledged(self) -> bool:
        return self._tag > self._acknowledged

    def acknowledge(self, tag: int) -> None:
        """Acknowledge all up to this one. On a dying channel nothing happens: all it carried is redelivered."""
        # A delayed one may be overtaken by a later cumulative one; acknowledging a tag twice closes the channel.
        if tag > self._acknowledged:
            self._acknowledged = tag
            self.channel.send(acknowledged(tag, self.channel.number))

    async def give_back(self) -> None:
        """Requeue what is unacknowledged: from RabbitMQ 4.3 on that is no failure of a message, a lost consumer is."""
        underlay = self.channel.underlay
        await underlay.basic_nack(0, multiple=True, requeue=True, wait=False)
        # Any answer will do: if the channel were closed at once, that would overtake the nack within RabbitMQ.
        await underlay.basic_qos(prefetch_count=1)

    def stop(self) -> None:
        """Append nothing more."""
        self._stopped = True

    def method(self, frames: bytes, start: int) -> Method:
        if not frames.startswith(_BEGINNINGS, start):
            return Method.LEFT
        start += _BEGINNING_BYTES
        self._tag, self._redelivered = tag_and_bit(frames, start)
        self._exchange = short_string(frames, start + TAG_AND_BITS_BYTES)
        return Method.TAKEN_WITH_CONTENT

    def content(self, header: bytes, body: bytes) -> None:
        if not self._stopped:
            # Only a redelivered message can have failed, whatever its headers say: clients can set them too.
            failed = failures(header) if self._redelivered else 0
            self._append(body, content_type(header), failed, death(header))
            self._on_arrival()
            if self._on_first_harmless is not None and failed <= FAILURES_BEFORE_ISOLATION:
                self._on_first_harmless()
                self._on_first_harmless = None

    def _append(self, body: bytes, kind: str | None, failed: int, died: Death | None) -> None:
        provenance = provenance_of(self._exchange, died)
        if provenance.from_outside and len(body) > DOCUMENT_BYTES:
            # Truncated, as it will be parked as too large: many of these at once would not fit in memory.
            body, kind = body[: DOCUMENT_BYTES + 1], ONE_DOCUMENT
        self._arrived.append(Arrival(body, kind, failed, self._tag, self, provenance, died))
