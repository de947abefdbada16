"""Encodes and decodes the frames that every message needs, at a tenth of a general codec's cost.

A frame is a kind, a channel, a size, that many bytes and an end octet; a message is a method, a header and body frames.
"""

from functools import lru_cache
from struct import Struct
from typing import Any

from aio_pika import DeliveryMode
from pamqp.commands import Basic, Channel, Connection
from pamqp.decode import field_table
from pamqp.frame import marshal
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from messages.transport.broker import FAILURES_BEFORE_ISOLATION, Envelope
from messages.transport.provenance import Death

HEAD = Struct(">BHI")
METHOD, HEADER, BODY, LAST_KIND = 1, 2, 3, 8
END = 0xCE
_END_OCTET = bytes((END,))

CONNECTION_CHANNEL = 0
"""The channel number of what concerns the whole connection."""
ACK_ID, NACK_ID, RETURN_ID, DELIVER_ID, CLOSE_ID, CLOSE_OK_ID, REFUSAL_ID, BLOCKED_ID, UNBLOCKED_ID = (
    Struct(">I").pack(method.index)
    for method in (
        Basic.Ack,
        Basic.Nack,
        Basic.Return,
        Basic.Deliver,
        Channel.Close,
        Channel.CloseOk,
        Connection.Close,
        Connection.Blocked,
        Connection.Unblocked,
    )
)
ID_BYTES = 4
HEARTBEAT = Heartbeat().marshal()

_FLAGS = Basic.Properties.flags
_CONTENT_TYPE, _ENCODING, _HEADERS = _FLAGS["content_type"], _FLAGS["content_encoding"], _FLAGS["headers"]
_DELIVERY_MODE, _CORRELATION_ID = _FLAGS["delivery_mode"], _FLAGS["correlation_id"]
_MESSAGE_ID, _TYPE = _FLAGS["message_id"], _FLAGS["message_type"]

_CONTENT = Struct(">BHIHHQH")  # a frame's head, then class, weight, body size, flags
_CONTENT_BYTES = _CONTENT.size - HEAD.size
_BODY_SIZE, _FLAG_WORD = Struct(">4xQ"), Struct(">12xH")
_FLAGS_AT, _HEADERS_HERE = 12, _HEADERS >> 8  # a third of what unpacking the word costs
_ACK = Struct(">BHI4sQBB")
_TAG_AND_BITS = Struct(">QB")
TAG_AND_BITS_BYTES = _TAG_AND_BITS.size
_DEATH = b"x-death"
_HEADER_BYTES = 2_048
"""A longer header is not read: RabbitMQ adds some hundred, and pamqp takes half a second for a client's 128 KiB."""
_SUSPECT = FAILURES_BEFORE_ISOLATION + 1
_UNKNOWN_DEATH = Death("", "", first=False)
_PERSISTENT = bytes((DeliveryMode.PERSISTENT,))


def published(envelope: Envelope, channel: int, max_body: int) -> bytes:
    """An envelope as it goes out, its body cut into frames of at most `max_body` bytes; below 1 there is no limit."""
    body, size = envelope.body, len(envelope.body)
    flags, properties = _properties(envelope)
    method = _publish(channel, envelope.to.exchange, envelope.to.key, envelope.mandatory)
    content = _CONTENT.pack(HEADER, channel, _CONTENT_BYTES + len(properties), Basic.frame_id, 0, size, flags)
    if size and (size <= max_body or max_body < 1):  # below 1: from a frame_max of 0, no limit
        return b"".join((method, content, properties, _END_OCTET, HEAD.pack(BODY, channel, size), body, _END_OCTET))
    pieces = (body[start : start + max_body] for start in range(0, size, max_body))
    bodies = (HEAD.pack(BODY, channel, len(piece)) + piece + _END_OCTET for piece in pieces)
    return b"".join((method, content, properties, _END_OCTET, *bodies))


def acknowledged(tag: int, channel: int) -> bytes:
    """The acknowledgement of `tag` and all before it."""
    return _ACK.pack(METHOD, channel, ID_BYTES + _TAG_AND_BITS.size, ACK_ID, tag, 1, END)


def deliver_to(consumer_tag: str) -> bytes:
    """The bytes with which each delivery to a consumer begins."""
    return DELIVER_ID + _short(consumer_tag)


def tag_and_bit(frames: bytes, start: int) -> tuple[int, int]:
    """A delivery tag, and the one bit after it that is used: `redelivered` or `multiple`."""
    tag, bits = _TAG_AND_BITS.unpack_from(frames, start)
    return tag, bits & 1


def short_string(frames: bytes, start: int) -> str:
    """Not validated: a client may have put any bytes there."""
    begins = start + 1
    return _text(frames[begins : begins + frames[start]])


def refusal(frames: bytes, start: int) -> Connection.Close:
    """The method with which the broker closes a connection."""
    close = Connection.Close()
    close.unmarshal(frames[start + ID_BYTES :])
    return close


def body_size(header: bytes) -> int:
    size: int = _BODY_SIZE.unpack_from(header)[0]
    return size


def content_type(header: bytes) -> str | None:
    has_one = _FLAG_WORD.unpack_from(header)[0] & _CONTENT_TYPE
    return short_string(header, _CONTENT_BYTES) if has_one else None


def failures(header: bytes) -> int:
    """Of a redelivered message: `x-delivery-count`, or 1 where the broker does not count.

    From RabbitMQ 4.3 on, one that was only given back has not failed: then `x-acquired-count` stands alone.
    A message whose header a client has made too long to be read, or unreadable, is a suspect.
    """
    if len(header) > _HEADER_BYTES:
        return _SUSPECT
    try:
        headers = _headers(header)
        count = headers.get("x-delivery-count", 0 if "x-acquired-count" in headers else 1)
    except Exception:  # noqa: BLE001 - clients set headers, and none may break the connection on every delivery
        return _SUSPECT
    return count if isinstance(count, int) else 1


def death(header: bytes) -> Death | None:
    """The newest `x-death` entry, if any. A client that forges one is only trusted less."""
    if not header[_FLAGS_AT] & _HEADERS_HERE or _DEATH not in header:
        return None
    if len(header) > _HEADER_BYTES:
        return _UNKNOWN_DEATH
    try:
        newest, *earlier = _headers(header)["x-death"]
        return Death(str(newest["reason"]), str(newest["exchange"]), first=not earlier)
    except Exception:  # noqa: BLE001 - as above
        return _UNKNOWN_DEATH


def message_id(header: bytes) -> str | None:
    """Of one of our own messages, returned as unroutable."""
    content = ContentHeader()
    content.unmarshal(header)
    return content.properties.message_id


def _headers(header: bytes) -> dict[str, Any]:
    """Raises whatever the codec raises, as clients may set any headers."""
    flags = _FLAG_WORD.unpack_from(header)[0]
    at = _CONTENT_BYTES
    for flag in (_CONTENT_TYPE, _ENCODING):
        at += header[at] + 1 if flags & flag else 0
    return field_table(header[at:])[1] if flags & _HEADERS else {}


@lru_cache(maxsize=1024)
def _publish(channel: int, exchange: str, key: str, mandatory: bool) -> bytes:
    return marshal(Basic.Publish(exchange=exchange, routing_key=key, mandatory=mandatory), channel)


def _properties(envelope: Envelope) -> tuple[int, bytes]:
    flags, properties = _DELIVERY_MODE, _PERSISTENT
    if envelope.content_type:
        flags, properties = flags | _CONTENT_TYPE, _known(envelope.content_type) + properties
    if envelope.correlation_id:
        flags, properties = flags | _CORRELATION_ID, properties + _short(envelope.correlation_id)
    if envelope.message_id:
        flags, properties = flags | _MESSAGE_ID, properties + _short(envelope.message_id)
    if envelope.wire_type:
        flags, properties = flags | _TYPE, properties + _known(envelope.wire_type)
    return flags, properties


def _short(text: str) -> bytes:
    encoded = text.encode()
    return bytes((len(encoded),)) + encoded


_known = lru_cache(maxsize=256)(_short)
"""Content types and message types: there are few."""


@lru_cache(maxsize=256)
def _text(encoded: bytes) -> str:
    return encoded.decode(errors="replace")
