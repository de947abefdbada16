"""How a service describes itself to the transport."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

from messages.contracts.message import Message
from messages.transport.database.lock_mode import LockMode
from messages.transport.database.row_cache import RowCache
from messages.transport.database.transactions import Transaction
from messages.transport.handled import Handled, Outgoing
from messages.transport.incoming import Incoming, Malformed

Handle: TypeAlias = Callable[[Transaction, Sequence[Incoming], LockMode], Awaitable[Handled]]
"""(transaction, from `PESSIMISTIC` on with the orders locked; documents in order of arrival; lock mode) -> result."""


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
    despite_backpressure: bool = False
    """Run even while too many rows are unconfirmed. For jobs that are needed then, and publish little or nothing."""


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
    """Message type -> the queue it arrives on, without prefix: one of those below."""
    handle: Handle
    new_work_queue: str
    """The queue of new work: `orders`, `reserve`."""
    priority_queue: str
    """The queue that is always drained before `new_work_queue`: `answers`, `settle`."""
    migrations: Sequence[Path]
    """Folders of numbered .sql files, applied in this order after the transport's own."""
    reports_queue: str | None = None
    """The queue of what clients report, and no order waits for: `reports`. It is drained in the gaps that the others
    leave, and in a tenth of the time at least. None: there are no such messages."""
    locks: str | None = None
    """The table whose rows, by order_id, are locked for all orders of a batch before `handle` is called; None: the
    service locks what it reads."""
    row_cache: RowCache[Any] | None = None
    """Cache of the rows that `handle` changed. Requires all its order writes in `Handled.writes`, guarded by versions:
    batches then run optimistically, and with locks only after conflicts."""
    gathering: Gathering | None = None
    """Which small batches are worth delaying briefly for more documents; None: none."""
    jobs: Sequence[Job] = ()
    measures: Sequence[Measure] = ()
    takes_new_work: bool = True
    """False: `new_work_queue` is not consumed, so that what has begun can end."""
    capacity: Callable[[Transaction], Awaitable[int]] | None = None
    """How many more orders may begin beside those in progress; at 0 or less `new_work_queue` pauses. None: no limit.
    A single statement, without a transaction around it: it is repeated fifty times a second while there is no room."""
    answer_malformed: Callable[[Malformed], list[Outgoing]] = lambda _: []
    """What to answer to an unreadable document, if it is recognisable as a request."""

    @property
    def queues(self) -> tuple[str, ...]:
        """Those that it consumes, without prefix, except its dead letters."""
        reports = () if self.reports_queue is None else (self.reports_queue,)
        return (self.priority_queue, self.new_work_queue, *reports)
