"""The wire form: one flat JSON object a document, read strictly, with its metadata beside the message's own fields."""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from random import getrandbits
from typing import Any
from uuid import UUID, uuid5

from asyncpg.pgproto.pgproto import UUID as QuickUUID  # noqa: N811  a uuid.UUID, read and written ten times as fast
from pydantic import ValidationError

from messages.contracts.message import Message
from messages.transport.broker import Arrival
from messages.transport.handled import Outgoing
from messages.transport.incoming import NOWHERE, Incoming, Malformed, Origin
from messages.transport.parked import FORBIDDEN
from messages.transport.provenance import Provenance
from messages.transport.strict_json import DOCUMENT_BYTES, Unreadable, beginning, parse, refuse_extremes, too_large

DASHES = slice(8, 24, 5)
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
WIRE_TYPE = re.compile(r"([A-Z][A-Za-z]{0,63})/([0-9]{1,4})\.([0-9]{1,4})")
RANDOM_BITS = 0xFFFFFFFF_FFFF_0FFF_3FFF_FFFFFFFFFFFF
VERSION_4 = 0x00000000_0000_4000_8000_000000000000
# The same unreadable bytes get the same id each time, so that they are parked once.
UNREADABLE = UUID("5f0c9d0e-6f0a-4f6e-9a5c-2f7c6f0f3b11")


class Reader:
    """Reads the documents of the message types that one service handles."""

    def __init__(self, types: Iterable[type[Message]]) -> None:
        self._types = {(kind.__name__, kind.VERSION.partition(".")[0]): kind for kind in types}
        self._names = {name for name, _ in self._types}
        self._known = {kind.wire_type(): kind for kind in self._types.values()}

    def read(self, body: bytes, origin: Origin = NOWHERE) -> Incoming | Malformed:
        """Never raises: an unacceptable document is returned as Malformed, to be parked."""
        fields: Mapping[str, Any] = {}
        try:
            if obstacle := _obstacle(body, origin):
                fields = beginning(body)
                raise obstacle
            fields = parse(body)
            kind = self._kind(fields.get("type"))
            _judge_sender(kind, body, fields, origin)
            message_id = _uuid_field(fields, "message_id")
            message = kind.__pydantic_validator__.validate_json(body, strict=True)
        except Unreadable as error:
            return _malformed(body, origin, fields, error.reason, error.detail)
        except ValidationError as error:
            return _malformed(body, origin, fields, "invalid", _first_problem(error))
        return Incoming(message, message_id, _traceparent(fields, message_id), body, origin.queue)

    def read_all(self, bodies: Sequence[bytes], origins: Sequence[Origin]) -> Sequence[Incoming | Malformed]:
        """`read` each document. Doing each step for all of them before the next step is a quarter faster."""
        if len(bodies) > 1:
            with suppress(Unreadable, ValidationError):
                return self._read_together(bodies, origins)
        return list(map(self.read, bodies, origins))

    def _read_together(self, bodies: Sequence[bytes], origins: Sequence[Origin]) -> list[Incoming]:
        parsed = [parse(body) for body in bodies]
        kinds = [self._kind(fields.get("type")) for fields in parsed]
        for kind, body, fields, origin in zip(kinds, bodies, parsed, origins, strict=True):
            if kind.FROM_OUTSIDE or origin.provenance.from_outside:
                if obstacle := _obstacle(body, origin):
                    raise obstacle
                _judge_sender(kind, body, fields, origin)
        ids = [_uuid_field(fields, "message_id") for fields in parsed]
        messages = [
            kind.__pydantic_validator__.validate_json(body, strict=True)
            for kind, body in zip(kinds, bodies, strict=True)
        ]
        traces = map(_traceparent, parsed, ids)
        return list(map(Incoming, messages, ids, traces, bodies, [origin.queue for origin in origins]))

    def _kind(self, wire_type: object) -> type[Message]:
        if not isinstance(wire_type, str):
            raise Unreadable("no_type", "the field type must be a string of the form Name/major.minor")
        return self._known.get(wire_type) or self._kind_of_other_version(wire_type)

    def _kind_of_other_version(self, wire_type: str) -> type[Message]:
        known = WIRE_TYPE.fullmatch(wire_type)
        if known is None:
            raise Unreadable("no_type", "the field type must have the form Name/major.minor")
        name, major, _ = known.groups()
        if (name, major) in self._types:
            return self._types[name, major]
        if name in self._names:
            raise Unreadable("unknown_version", f"{wire_type} has an unknown major version")
        raise Unreadable("unknown_type", f"{wire_type} is not handled here")


def documents_in(arrival: Arrival) -> list[bytes]:
    """An envelope's documents, one a line; any other body is one document."""
    if not arrival.is_envelope:
        return [arrival.body]
    return [line for line in arrival.body.split(b"\n") if line.strip()] or [arrival.body]


def encode(outgoing: Outgoing, fields: bytes | None = None) -> bytes:
    """The document of a message: a new id, the causing message's id, and its trace continued.

    `fields`: its `own_fields`, if they are known already.
    """
    message, _, cause, traceparent = outgoing
    # A version 4 UUID: 122 random bits. They need to be unique, not secret, so they cost no system call.
    message_id = QuickUUID((getrandbits(128) & RANDOM_BITS | VERSION_4).to_bytes(16, "big"))
    digits = message_id.hex
    causation = ""
    if cause is not None:
        causation = f'"causation_id":"{cause.message_id!s}",'
        traceparent = cause.traceparent
    metadata = (
        f'{{"type":"{_wire_type(type(message))}","message_id":"{message_id!s}",{causation}'
        f'"traceparent":"00-{traceparent[3:35] if traceparent else digits}-{digits[:16]}-01"'
    )
    return metadata.encode() + (own_fields(message) if fields is None else fields)


def own_fields(message: Message) -> bytes:
    """The end of a message's document."""
    body: bytes = message.__pydantic_serializer__.to_json(message, exclude_none=True)
    return b"," + body[1:] if len(body) > len("{}") else b"}"


def _obstacle(body: bytes, origin: Origin) -> Unreadable | None:
    """Why a document is refused without being parsed."""
    if origin.provenance is Provenance.UNTRUSTED_ROUTE:
        return Unreadable(FORBIDDEN, "it came through an exchange or a queue that a client declared")
    return too_large(DOCUMENT_BYTES) if origin.provenance.from_outside and len(body) > DOCUMENT_BYTES else None


def _judge_sender(kind: type[Message], body: bytes, fields: Mapping[str, Any], origin: Origin) -> None:
    """Refuse internal types from clients: a forged PacketsAssigned would place an order that holds nothing."""
    if kind.FROM_OUTSIDE:
        refuse_extremes(body, fields)
    elif origin.provenance.from_outside:
        raise Unreadable(FORBIDDEN, f"{kind.wire_type()} may not be published by clients")


@cache
def _wire_type(kind: type[Message]) -> str:
    return kind.wire_type()


def _uuid_field(fields: Mapping[str, Any], name: str) -> UUID:
    """Accept only the canonical form. asyncpg's UUID itself checks that there are 32 digits and no more dashes."""
    value = fields.get(name)
    try:
        if isinstance(value, str) and value[DASHES] == "----":
            return QuickUUID(value)
    except ValueError:
        pass
    raise Unreadable("invalid", f"{name}: {'must be a UUID' if name in fields else 'Field required'}")


def _traceparent(fields: Mapping[str, Any], message_id: UUID) -> str:
    """W3C: a missing or invalid traceparent starts a new trace."""
    given = fields.get("traceparent")
    if isinstance(given, str) and TRACEPARENT.fullmatch(given):
        return given
    return f"00-{message_id.hex}-{message_id.hex[:16]}-01"


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else str(first["msg"])


def _printable(text: str) -> str:
    """A parser's error quotes its input, which must not break a log line, a text column or a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _malformed(body: bytes, origin: Origin, fields: Mapping[str, Any], reason: str, detail: str) -> Malformed:
    def readable(name: str) -> UUID | None:
        try:
            return _uuid_field(fields, name)
        except Unreadable:
            return None

    wire_type = fields.get("type")
    message_id = readable("message_id") or uuid5(UNREADABLE, body.hex())
    return Malformed(
        body=body,
        message_id=message_id,
        reason=reason,
        detail=_printable(detail),
        wire_type=_printable(wire_type[:80]) if isinstance(wire_type, str) else None,
        order_id=readable("order_id"),
        queue=origin.queue,
        from_outside=origin.provenance.from_outside,
        traceparent=_traceparent(fields, message_id),
    )
