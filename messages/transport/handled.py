"""What handlers and jobs return: everything that a transaction is to write, publish, count and report."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from messages.contracts.message import Message
from messages.transport.addresses import Address
from messages.transport.database.writing import Write
from messages.transport.incoming import Incoming, log_fields


class Outgoing(NamedTuple):
    """An outgoing message. `cause` gives causation and trace; a job without cause gives `traceparent`."""

    message: Message
    to: Address
    cause: Incoming | None = None
    traceparent: str | None = None


class TimelineEntry(NamedTuple):
    """One line of an order's timeline, as `show` prints it: `PacketsReserved`, `reserving -> assigning`."""

    order_id: UUID
    event: str
    detail: str
    message_id: UUID | None = None


class Decided(NamedTuple):
    """The outcome of an order, as it is counted in the metrics."""

    outcome: str
    reason: str = ""
    """A short code, or empty."""
    seconds: float | None = None
    """Since it was accepted; None: it never was."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that a person should look at. Logged and counted once the transaction is committed.

    `cause` gives the message and the trace that the log line names; a job without cause gives `traceparent`.
    """

    name: str
    order_id: UUID | None = None
    detail: str = ""
    cause: Incoming | None = None
    traceparent: str | None = None

    @property
    def log_fields(self) -> dict[str, Any]:
        if self.cause is None:
            return log_fields(self.order_id, None, self.traceparent)
        return log_fields(self.order_id, self.cause.message_id, self.cause.traceparent)


@dataclass(slots=True)
class Handled:
    """A handler's unit of work: messages, timeline notes, writes. Nothing leaves the process before the commit."""

    outgoing: list[Outgoing] = field(default_factory=list)
    timeline: list[TimelineEntry] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    outcomes: list[Decided] = field(default_factory=list)
    """The orders decided here. Counted after the commit."""
    replayed: list[tuple[int, Incoming]] = field(default_factory=list)
    """What was parked, by its id there, and is handled here. Logged after the commit."""
    changes: Sequence[tuple[Any, Any]] = ()
    """Rows before and after, as far as they may be cached after the commit."""
    look_again: list[Incoming] = field(default_factory=list)
    """Still undecided, because units were locked by other transactions or given back in this very batch: handled
    again, in a transaction of their own that waits for locks."""
    more: bool = False
    """For a job: there was more to do than one batch; run again at once."""

    def add(self, part: "Handled") -> None:
        """Add the result of another part of the same transaction, which has executed its writes itself."""
        self.outgoing += part.outgoing
        self.timeline += part.timeline
        self.alarms += part.alarms
        self.outcomes += part.outcomes
        self.more = self.more or part.more
