"""Requests, as they go into the public edge: made here or read line by line, one document a message."""

import json
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO
from uuid import UUID, uuid4

from pydantic import ValidationError

from messages.contracts.message import Message
from messages.transport import document
from messages.transport.addresses import REQUESTS, Address
from messages.transport.broker import ONE_DOCUMENT, Envelope
from messages.transport.command_line.failures import WrongUsage
from messages.transport.document import Reader
from messages.transport.faults import one_line
from messages.transport.handled import Outgoing
from messages.transport.incoming import Malformed
from messages.transport.strict_json import OWN_DOCUMENT_BYTES, Unreadable


@dataclass(frozen=True, slots=True)
class Request:
    """A document to publish. Published again, it is the same document."""

    message: Message
    message_id: UUID
    body: bytes

    @property
    def envelope(self) -> Envelope:
        return Envelope(
            Address(REQUESTS, self.message.routing_key()),
            self.body,
            ONE_DOCUMENT,
            message_id=str(self.message_id),
            wire_type=self.message.wire_type(),
        )


def new_request(kind: type[Message], **content: Any) -> Request:
    """A new request. Raises WrongUsage, one line, which names the field that is wrong."""
    try:
        message = kind(**content)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise WrongUsage(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None
    body = document.encode(Outgoing(message, Address(REQUESTS, message.routing_key())))
    return Request(message, UUID(json.loads(body)["message_id"]), body)


class RequestReader:
    """Reads requests as strictly as the services do, so that a mistake is reported before it is published."""

    def __init__(self, usual: type[Message] | None, *others: type[Message]) -> None:
        self._usual = usual
        self._reader = Reader((usual, *others) if usual else others)

    def read(self, line: bytes) -> Request:
        """A whole document, or the bare content of a `usual` one. Raises Unreadable."""
        parsed = self._reader.read(_with(self._missing(line), line.strip()))
        if isinstance(parsed, Malformed):
            raise Unreadable(parsed.reason, parsed.detail)
        return Request(parsed.message, parsed.message_id, parsed.body)

    def _missing(self, line: bytes) -> dict[str, str]:
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            return {}
        if not isinstance(fields, dict):
            return {}
        metadata = {"message_id": str(uuid4())}
        if self._usual is not None and "type" not in fields:
            metadata["type"] = self._usual.wire_type()
            if self._usual.model_fields["order_id"].is_required():
                metadata["order_id"] = str(uuid4())
        return {name: value for name, value in metadata.items() if name not in fields}


def _with(metadata: Mapping[str, str], line: bytes) -> bytes:
    """Prepend metadata to the line, which is left as it is, mistakes and all."""
    if not metadata:
        return line
    content = line[1:].lstrip()
    return json.dumps(metadata)[:-1].encode() + (b"" if content == b"}" else b",") + content


def read_lines(reader: RequestReader, stream: BinaryIO) -> Iterator[tuple[int, Request]]:
    """Yield the requests of all lines that are not empty, with their numbers.

    Raises WrongUsage, one line, which names the line and its mistake.
    """
    for number, line in enumerate(_lines(stream), 1):
        if not line.strip():
            continue
        try:
            yield number, reader.read(line)
        except Unreadable as error:
            place = f"{_name(stream)}, line {number}"
            raise WrongUsage(f"{place}, is not a request: {error.detail} ({error.reason})") from None


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    mark = BOM_UTF8  # as some editors put it in front of a file
    try:
        while line := stream.readline(OWN_DOCUMENT_BYTES + 2):
            yield line.removeprefix(mark)
            mark = b""
    except OSError as error:
        raise WrongUsage(f"{_name(stream)} cannot be read: {one_line(error)}") from None


def _name(stream: BinaryIO) -> str:
    return str(getattr(stream, "name", "<stdin>"))
