"""How a service describes itself to the transport, and what its handlers take and return."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias
from uuid import UUID

from asyncpg import Connection

from messages.contracts.message import Message
from messages.transport.addresses import Address
from messages.transport.incoming import Incoming, Malformed, log_fields

if TYPE_CHECKING:
    from messages.transport.row_cache import RowCache

Transaction: TypeAlias = "Connection[Any]"


class LockMode(IntEnum):
    """Concurrency control of a batch, optimistic to pessimistic. Each retry goes one level up, to `LOCKING` at most."""

    CACHED = 0
    """Rows come from this process's cache; those that are not in it are read."""
    OPTIMISTIC = 1
    """All rows are read, without locks."""
    PESSIMISTIC = 2
    """Rows are read and written in a transaction that holds their locks."""
    BLOCKING = 3
    """As before, and the handler waits for units that other transactions have locked."""

    def stricter(self) -> "LockMode":
        """The next stricter level. Never `WAITING`, which is only for `look_again`."""
        return self if self >= LockMode.PESSIMISTIC else LockMode(self + 1)


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
    detail: str = ""
    message_id: UUID | None = None


class Write(NamedTuple):
    """A statement that changes rows, to be executed together with all others of its transaction."""

    sql: str
    arguments: Sequence[Any]
    rows: int | None = None
    """How many rows it must return, one for each changed; any other number is a conflict with another transaction."""
    before: datetime | None = None
    """Until when it may be done, by the database's clock; None: any time."""


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


Handle: TypeAlias = Callable[[Transaction, Sequence[Incoming], LockMode], Awaitable[Handled]]
"""(transaction, from `LOCKING` on with the batch's orders locked; documents in order of arrival; care) -> result."""


@dataclass(frozen=True, slots=True)
class Job:
    """Scheduled work in a transaction of its own, every `interval_seconds` and again at once while there is `more`.

    It must be safe to run in several processes at once.
    """

    name: str
    interval_seconds: float
    run: Callable[[Transaction], Awaitable[Handled]]
    only_when_quiet: bool = False
    """Wait until no answer is in the buffer: repeated commands must not add to an overload."""
    needed: Callable[[], bool] = lambda: True
    """Whether there can be anything to do; if not, the run counts as done without asking the database."""
    due: str | None = None
    """SQL of a boolean: whether there is anything to do. It spares an idle service the transaction. None: always."""
    low_priority: bool = False
    """Low priority: pause after each batch for several times as long as it took."""


class Measure(NamedTuple):
    """A gauge whose value is queried from the service's tables, several times a minute."""

    name: str
    text: str
    sql: str
    """Returns one number. Must stay cheap as tables grow: read active rows only, by index."""
    labels: tuple[tuple[str, str], ...] = ()


class Gathering(Protocol):
    """Decides which documents are worth waiting for, to handle them together."""

    def is_incomplete(self, documents: Sequence[Incoming]) -> bool:
        """Whether documents that belong with these are expected at any moment."""

    def close(self, documents: Sequence[Incoming]) -> None:
        """These are handled now, complete or not."""


@dataclass(frozen=True, slots=True)
class Service:
    """The definition of a service, from which its queues, bindings and tables follow."""

    name: str
    """`store_worker`: the folder, the console script (with a dash) and the prefix of its queues."""
    handlers: Mapping[type[Message], str]
    """Message type -> the queue it arrives on, without prefix: `new_work_queue` or `priority_queue`."""
    handle: Handle
    new_work_queue: str
    """The queue of new work: `orders`, `reserve`."""
    priority_queue: str
    """The queue that is always drained before `intake`: `answers`, `settle`."""
    migrations: Sequence[Path]
    """Folders of numbered .sql files, applied in this order after the transport's own."""
    locks: str | None = None
    """The table whose rows, by order_id, are locked for all orders of a batch before `handle` is called; None: the
    service locks what it reads."""
    row_cache: "RowCache[Any] | None" = None
    """Cache of the rows that `handle` changed. Requires all its order writes in `Handled.writes`, guarded by versions:
    batches then run optimistically, and with locks only after conflicts."""
    gathering: Gathering | None = None
    """Which small batches are worth delaying briefly for more documents; None: none."""
    jobs: Sequence[Job] = ()
    measures: Sequence[Measure] = ()
    capacity: Callable[[Transaction], Awaitable[int]] | None = None
    """How many more orders may begin beside those in progress; at 0 or less `intake` pauses. None: no limit."""
    answer_malformed: Callable[[Malformed], list[Outgoing]] = lambda _: []
    """What to answer to an unreadable document, if it is recognisable as a request."""
