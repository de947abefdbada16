"""What a service tells the transport about itself, and what its handlers take and return."""

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
from messages.transport.incoming import Incoming, Malformed, about

if TYPE_CHECKING:
    from messages.transport.memory import Memory

Transaction: TypeAlias = "Connection[Any]"


class Care(IntEnum):
    """How much is checked before a batch is written. After a collision it is tried one level higher, up to LOCKING."""

    REMEMBERING = 0
    """Decided from what this process has written last."""
    READING = 1
    """Read before it is decided, but not locked."""
    LOCKING = 2
    """Read and written in a transaction that holds the locks."""
    WAITING = 3
    """In which one also waits for units that others have locked."""

    def more(self) -> "Care":
        """One level higher; but to wait is no answer to a collision."""
        return self if self >= Care.LOCKING else Care(self + 1)


class Said(NamedTuple):
    """A message on its way out. `cause` gives causation and trace; a job without cause gives `traceparent`."""

    message: Message
    to: Address
    cause: Incoming | None = None
    traceparent: str | None = None


class Note(NamedTuple):
    """One line of an order's story, as `show` tells it: `PacketsReserved`, `reserving -> assigning`."""

    order_id: UUID
    event: str
    detail: str = ""
    message_id: UUID | None = None


class Write(NamedTuple):
    """A statement that changes rows, to be executed together with all others of its transaction."""

    sql: str
    arguments: Sequence[Any]
    rows: int | None = None
    """How many rows it must change, each of which it returns; any other number means that somebody else was first."""
    before: datetime | None = None
    """When it must be done, by the database's clock; None: whenever it is."""


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
    def about(self) -> dict[str, Any]:
        if self.cause is None:
            return about(self.order_id, None, self.traceparent)
        return about(self.order_id, self.cause.message_id, self.cause.traceparent)


@dataclass(slots=True)
class Handled:
    """What a handler wants said, told and written. Nothing here has left the process before the commit."""

    said: list[Said] = field(default_factory=list)
    story: list[Note] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    outcomes: list[tuple[str, str]] = field(default_factory=list)
    """Of each order that is decided here: the outcome and a short code for its reason, or an empty one. Counted once
    this is committed."""
    changes: Sequence[tuple[Any, Any]] = ()
    """Rows before and after, as far as they may be remembered once this is committed."""
    look_again: list[Incoming] = field(default_factory=list)
    """Not refused yet, because units were locked elsewhere or given back in this very batch: handled again, waiting,
    in a transaction of their own."""
    more: bool = False
    """For a job: there was more to do than one batch; run again at once."""


Handle: TypeAlias = Callable[[Transaction, Sequence[Incoming], Care], Awaitable[Handled]]
"""(transaction, from LOCKING on with the batch's orders locked; documents in order of arrival; care) -> what to say."""


@dataclass(frozen=True, slots=True)
class Job:
    """Scheduled work in a transaction of its own, every `interval_seconds` and again at once while there is `more`.

    Safe to run in many processes at the same time: it takes rows with SKIP LOCKED.
    """

    name: str
    interval_seconds: float
    run: Callable[[Transaction], Awaitable[Handled]]
    only_when_quiet: bool = False
    """Wait until no answer is waiting in the buffer: repeats must not pile up on an overload."""
    needed: Callable[[], bool] = lambda: True
    """Whether there can be anything to do; if not, the run is done without asking the database."""
    due: str | None = None
    """SQL of a boolean: whether there is anything to do; it spares a service at rest the transaction. None: always."""
    in_no_hurry: bool = False
    """Rest between one batch and the next, for several times as long as it took: orders come first."""


class Gathering(Protocol):
    """Knows which documents are better handled together."""

    def is_incomplete(self, documents: Sequence[Incoming]) -> bool:
        """Whether something that belongs to these is to be expected at any moment."""

    def close(self, documents: Sequence[Incoming]) -> None:
        """These are handled now, with what belongs to them or without."""


@dataclass(frozen=True, slots=True)
class Service:
    """A process of the system. Its queues, bindings and tables follow from what stands here."""

    name: str
    """`store_worker`: the folder, the console script (with a dash) and the prefix of its queues."""
    handlers: Mapping[type[Message], str]
    """Message type -> the queue it arrives on, without prefix: one of `intake` and `first`."""
    handle: Handle
    intake: str
    """The queue of new work: `orders`, `reserve`."""
    first: str
    """The queue that is always drained before `intake`: `answers`, `settle`."""
    migrations: Sequence[Path]
    """Folders of numbered .sql files, applied in this order after the transport's own."""
    locks: str | None = None
    """The table whose rows, by order_id, are locked for all orders of a batch before `handle` is called; None: the
    service locks what it reads."""
    memory: "Memory[Any] | None" = None
    """Where the rows are remembered that `handle` has changed. All that it does about orders are then `Handled.writes`
    which name the versions it knows. So it may be tried without locks and without a transaction, and again with them
    if somebody was there in between."""
    gathering: Gathering | None = None
    """For which small batches it is worth waiting a moment for more; None: for none."""
    jobs: Sequence[Job] = ()
    room: Callable[[Transaction], Awaitable[int]] | None = None
    """How many new orders may begin, beside those in the works; at 0 or less `intake` pauses. None: it never does."""
    answer_malformed: Callable[[Malformed], list[Said]] = lambda _: []
    """What to say to the sender of an unreadable document, if it is recognisable."""
