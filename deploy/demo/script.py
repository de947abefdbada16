"""A file of orders, one JSON document a line, as steps to take one after the other.

A line is an OrderRequested or CancelOrder document, or the bare content of an order. In the demo's own file a line may
also tell what to `expect` and what it is `about`, belong to a `group` of orders of which so many are placed, whichever,
be `raw` text that is no document at all, or `do` something.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID, uuid4

from messages.contracts.message import Message
from messages.contracts.order import CancelOrder, OrderRequested
from messages.transport.addresses import REQUESTS, Address
from messages.transport.broker import ONE_DOCUMENT, Envelope
from messages.transport.command_line.failures import WrongUsage
from messages.transport.document import Reader
from messages.transport.incoming import Incoming

SAMPLE = Path(__file__).parent / "orders.jsonl"
READER = Reader((OrderRequested, CancelOrder))


class Deed(StrEnum):
    """What a line may do instead of sending a document."""

    WAIT = "wait"
    """Until everything sent so far is answered."""
    STALL = "stall"
    """From now on, the store worker reserves and does nothing else."""
    RESUME = "resume"
    """Once its leases have run out, the store worker works again."""


class Group(NamedTuple):
    """Orders that compete for the same packets or agents."""

    name: str
    placed: int
    """How many of them are placed: as many as the packets or agents are enough for."""


@dataclass(frozen=True, eq=False, slots=True)
class Line:
    """A document to send, and the answers expected: `placed`, or a reason. None: any answer."""

    number: int
    body: bytes
    message: Message | None
    """None: it cannot be read."""
    message_id: UUID
    expected: frozenset[str] = frozenset()
    about: str = ""
    group: Group | None = None

    @property
    def envelope(self) -> Envelope:
        key = (type(self.message) if self.message else OrderRequested).routing_key()
        return Envelope(Address(REQUESTS, key), self.body, ONE_DOCUMENT, message_id=str(self.message_id))


Step: TypeAlias = Line | Deed


def read(path: Path) -> list[Step]:
    """Raises WrongUsage, one line, if the file cannot be read. A line that is no document is sent all the same."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise WrongUsage(f"{path}: {error.strerror}") from None
    return [step_of(number, line) for number, line in enumerate(lines, 1) if line.strip()]


def step_of(number: int, line: bytes) -> Step:
    fields = _fields(line)
    if fields.get("do") in list(Deed):
        return Deed(fields["do"])
    notes = {name: fields.pop(name) for name in ("expect", "about", "group", "raw") if name in fields}
    # Latin-1 writes each of the first 256 characters as one byte: so a line can hold bytes that are not UTF-8.
    body = notes["raw"].encode("latin-1") if "raw" in notes else _body(fields, line, was_annotated=bool(notes))
    message, message_id = _read(body)
    group = Group(**notes["group"]) if "group" in notes else None
    return Line(number, body, message, message_id, frozenset(notes.get("expect", ())), notes.get("about", ""), group)


def _fields(line: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _body(fields: dict[str, Any], line: bytes, *, was_annotated: bool) -> bytes:
    """The line itself, unless something has to be taken out, or the metadata of a bare order put in."""
    if fields and "type" not in fields:
        metadata = {"type": OrderRequested.wire_type(), "message_id": str(uuid4()), "order_id": str(uuid4())}
        return json.dumps(metadata | fields).encode()
    return json.dumps(fields).encode() if was_annotated else line


def _read(body: bytes) -> tuple[Message | None, UUID]:
    document = READER.read(body)
    return (document.message if isinstance(document, Incoming) else None), document.message_id
