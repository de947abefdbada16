"""A service that records what it receives, and fails where a document or a test asks for it."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeAlias
from uuid import uuid4

from asyncpg import DivisionByZeroError
from pydantic_settings import SettingsConfigDict

from messages.contracts.message import Message, OrderMessage
from messages.contracts.order import RequestRejected
from messages.transport.addresses import COMMANDS, OUTCOMES, Address
from messages.transport.database.lock_mode import LockMode
from messages.transport.database.row_cache import RowCache
from messages.transport.database.transactions import Transaction
from messages.transport.handled import Alarm, Decided, Handled, Outgoing, TimelineEntry
from messages.transport.incoming import Incoming, Malformed
from messages.transport.service import Gathering, Job, Service
from messages.transport.settings import Settings

MIGRATIONS = Path(__file__).parent / "migrations"
ELSEWHERE = Address(COMMANDS, "elsewhere")
COUNTED = Address(OUTCOMES, "counted")
REJECTED = Address(OUTCOMES, "request_rejected")

Fault: TypeAlias = Callable[[Transaction], Awaitable[object]]
"""Called with the transaction of the batch, before anything is written."""

FAIL = "fail"
BREAK_A_RULE = "break a rule"
HIDE_AN_ERROR = "hide an error"
LOOK_AGAIN = "look again"
NEVER_DECIDE = "never decide"
TELL_ELSEWHERE = "tell elsewhere"
SHOUT = "shout"


class Wish(OrderMessage):
    """`wish` says how its handling is to go; `text` tells documents apart."""

    FROM_OUTSIDE: ClassVar[bool] = True

    text: str = ""
    wish: str = ""


class Bought(Wish):
    """New work."""


class Paid(Wish):
    """What is heard before new work."""


class Reported(Wish):
    """What no order waits for."""


class Counted(OrderMessage):
    """Told to the world for whatever was handled."""

    TO_OUTSIDE: ClassVar[bool] = True

    text: str


class Forwarded(OrderMessage):
    """Told to another service."""

    text: str


class ToySettings(Settings):
    model_config = SettingsConfigDict(env_prefix="TOY_")


def bought(text: str = "", wish: str = "") -> Bought:
    return Bought(order_id=uuid4(), text=text, wish=wish)


def paid(text: str = "", wish: str = "") -> Paid:
    return Paid(order_id=uuid4(), text=text, wish=wish)


def reported(text: str = "", wish: str = "") -> Reported:
    return Reported(order_id=uuid4(), text=text, wish=wish)


def numbered(number: int) -> list[Bought]:
    return [bought(str(each)) for each in range(number)]


class Toy:
    """The service's code. `faults` hit the next batches, one each; a closed `gate` holds a batch in its transaction."""

    def __init__(self) -> None:
        self.faults: deque[Fault] = deque()
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()
        self.calls: list[tuple[int, bool]] = []
        """For each call: how many documents, and whether it may wait."""
        self.lock_modes: list[LockMode] = []
        self.jobs: list[Job] = []
        # Read when the service is made, so to be changed before it runs.
        self.handlers: dict[type[Message], str] = {Bought: "bought", Paid: "paid", Reported: "reported"}
        self.takes_new_work = True
        self.capacity: Callable[[Transaction], Awaitable[int]] | None = None
        self.row_cache: RowCache[Any] | None = None
        self.gathering: Gathering | None = None
        self.rejecting: Callable[[Malformed], list[Outgoing]] = reject

    def service(self) -> Service:
        return Service(
            name="toy",
            handlers=self.handlers,
            handle=self.handle,
            new_work_queue="bought",
            priority_queue="paid",
            reports_queue="reported",
            locks="purchase",
            row_cache=self.row_cache,
            gathering=self.gathering,
            migrations=[MIGRATIONS],
            jobs=self.jobs,
            takes_new_work=self.takes_new_work,
            capacity=self.capacity,
            answer_malformed=self.rejecting,
        )

    async def handle(self, tx: Transaction, documents: Sequence[Incoming], lock_mode: LockMode) -> Handled:
        waiting = lock_mode is LockMode.BLOCKING
        self.calls.append((len(documents), waiting))
        self.lock_modes.append(lock_mode)
        self.entered.set()
        await self.gate.wait()
        if self.faults:
            await self.faults.popleft()(tx)
        handled = Handled()
        for document in documents:
            await _write_down(tx, document, waiting, handled)
        return handled


def reject(document: Malformed) -> list[Outgoing]:
    message = RequestRejected(request_message_id=document.message_id, reason="malformed", detail=document.detail[:500])
    return [Outgoing(message, REJECTED)]


async def _write_down(tx: Transaction, document: Incoming, waiting: bool, handled: Handled) -> None:
    message = document.message
    assert isinstance(message, Wish)
    if message.wish == FAIL:
        raise ValueError(f"cannot handle {message.text}")
    if message.wish == BREAK_A_RULE:
        await tx.execute("INSERT INTO purchase VALUES ($1, 100)", message.order_id)
    if message.wish == HIDE_AN_ERROR:
        with contextlib.suppress(DivisionByZeroError):
            await tx.execute("SELECT 1 / 0")
        return
    if message.wish == NEVER_DECIDE or (message.wish == LOOK_AGAIN and not waiting):
        handled.look_again.append(document)
        return
    await tx.execute(
        "INSERT INTO heard (message_id, type, text, waiting) VALUES ($1, $2, $3, $4)",
        document.message_id,
        type(message).__name__,
        message.text,
        waiting,
    )
    handled.outgoing.append(Outgoing(Counted(order_id=message.order_id, text=message.text), COUNTED, document))
    handled.outcomes.append(Decided("heard", message.wish))
    handled.timeline.append(TimelineEntry(message.order_id, type(message).__name__, message.text, document.message_id))
    if message.wish == TELL_ELSEWHERE:
        handled.outgoing.append(Outgoing(Forwarded(order_id=message.order_id, text=message.text), ELSEWHERE, document))
    if message.wish == SHOUT:
        handled.alarms.append(Alarm("shouted", message.order_id, message.text, document))
