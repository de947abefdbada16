"""A received document: one that can be handled, or one that can only be parked."""

from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from messages.contracts.message import Message
from messages.transport.provenance import Provenance


class Origin(NamedTuple):
    """Where a document came from."""

    queue: str = ""
    provenance: Provenance = Provenance.INTERNAL


NOWHERE = Origin()


class Incoming(NamedTuple):
    """One received document: the message, and the metadata that travelled beside it."""

    message: Message
    message_id: UUID
    traceparent: str
    body: bytes = b""
    """As received, to be parked if it cannot be handled."""
    queue: str = ""

    @property
    def order_id(self) -> UUID:
        """The order that its message is about; only for messages that are about one."""
        order_id = self.message.order_id
        assert order_id is not None, "the message is about no order"
        return order_id

    @property
    def log_fields(self) -> dict[str, Any]:
        return log_fields(self.message.order_id, self.message_id, self.traceparent)


@dataclass(frozen=True, slots=True)
class Malformed:
    """A document that could not be read or handled, with what is known about it. It is parked."""

    body: bytes
    message_id: UUID
    """The document's own where it is readable, otherwise derived from the bytes: the same each time."""
    reason: str
    detail: str
    wire_type: str | None = None
    order_id: UUID | None = None
    queue: str = ""
    our_fault: bool = False
    """Readable, but our handling failed: its sender is not told that it was malformed."""
    from_outside: bool = False
    """A client published it."""
    traceparent: str | None = None

    @property
    def log_fields(self) -> dict[str, Any]:
        return log_fields(self.order_id, self.message_id, self.traceparent)


def log_fields(order_id: UUID | None, message_id: UUID | None, traceparent: str | None) -> dict[str, Any]:
    """The fields of a log line. `trace_id`, W3C's, is the same for all that follows from one request."""
    trace_id = traceparent[3:35] if traceparent else None
    return {"order_id": order_id, "message_id": message_id, "trace_id": trace_id}


def unhandled(document: Incoming, reason: str, detail: str, *, our_fault: bool) -> Malformed:
    """A readable document that is parked all the same. Its type says who sent it, or it would have been refused."""
    return Malformed(
        body=document.body,
        message_id=document.message_id,
        reason=reason,
        detail=detail,
        wire_type=document.message.wire_type(),
        order_id=document.message.order_id,
        queue=document.queue,
        our_fault=our_fault,
        from_outside=document.message.FROM_OUTSIDE,
        traceparent=document.traceparent,
    )
