"""Just enough AMQP 0-9-1 for a load generator: a blocking handshake, then frames in bulk, a few microseconds a message.

A generator built on a general client would cost as much CPU as the system it measures, on the same two cores.
"""

import contextlib
import socket
from struct import Struct
from typing import Any
from urllib.parse import unquote, urlsplit

from pamqp import commands, frame, header
from pamqp.base import Frame

HEAD = Struct(">BHI")
METHOD_ID = Struct(">I")
TAG_AND_MULTIPLE = Struct(">QB")
METHOD, BODY = 1, 3
ACK, NACK = commands.Basic.Ack.index, commands.Basic.Nack.index
CHANNEL = 1
READ_BYTES = 262_144


class Connection:
    """One connection with one channel. `call` blocks; `read` and `flush` do not."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._unread = bytearray()
        self._unsent = bytearray()
        self.socket = socket.create_connection((parts.hostname, parts.port or 5672), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open(unquote(parts.username or ""), unquote(parts.password or ""), unquote(parts.path[1:]) or "/")

    def _open(self, user: str, password: str, vhost: str) -> None:
        self.socket.sendall(frame.marshal(header.ProtocolHeader(), 0))
        self._expect(commands.Connection.Start)
        start = commands.Connection.StartOk({"capabilities": {"basic.nack": True}}, "PLAIN", f"\0{user}\0{password}")
        tune = self.call(start, commands.Connection.Tune, channel=0)
        self._send(commands.Connection.TuneOk(tune.channel_max, tune.frame_max, 0), channel=0)
        self.call(commands.Connection.Open(vhost), commands.Connection.OpenOk, channel=0)
        self.call(commands.Channel.Open(), commands.Channel.OpenOk)

    def call(self, request: Frame, answer: type[Frame], channel: int = CHANNEL) -> Any:
        self._send(request, channel)
        return self._expect(answer)

    def unblock(self) -> None:
        self.socket.settimeout(0.0)

    def close(self) -> None:
        self.socket.close()

    @property
    def unsent_bytes(self) -> int:
        return len(self._unsent)

    def send(self, data: bytes) -> None:
        self._unsent += data
        self.flush()

    def flush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._unsent:
                del self._unsent[: self.socket.send(self._unsent)]

    def read(self) -> list[tuple[int, bytes]]:
        """Frames that have arrived, as (kind, payload)."""
        with contextlib.suppress(BlockingIOError):
            received = self.socket.recv(READ_BYTES)
            if not received:
                raise ConnectionError("the broker closed the connection")
            self._unread += received
        frames, at, size = [], 0, len(self._unread)
        while size - at >= HEAD.size:
            kind, _, length = HEAD.unpack_from(self._unread, at)
            start = at + HEAD.size
            if start + length >= size:
                break
            frames.append((kind, bytes(self._unread[start : start + length])))
            at = start + length + 1
        del self._unread[:at]
        return frames

    def _send(self, request: Frame, channel: int) -> None:
        self.socket.sendall(frame.marshal(request, channel))

    def _expect(self, answer: type[Frame]) -> Any:
        while True:
            head = self._exactly(HEAD.size)
            rest = self._exactly(HEAD.unpack(head)[2] + 1)
            _, _, got = frame.unmarshal(head + rest)
            if isinstance(got, answer):
                return got
            if isinstance(got, commands.Connection.Close | commands.Channel.Close):
                raise ConnectionError(f"the broker refused: {got.reply_code} {got.reply_text}")

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += self.socket.recv(size - len(data)) or self._gone()
        return data

    def _gone(self) -> bytes:
        raise ConnectionError("the broker closed the connection")


class Publisher(Connection):
    """Publishes with confirms to one exchange under one key."""

    def __init__(self, url: str, exchange: str, key: str) -> None:
        super().__init__(url)
        self.call(commands.Confirm.Select(), commands.Confirm.SelectOk)
        self._method = frame.marshal(commands.Basic.Publish(exchange=exchange, routing_key=key), CHANNEL)
        self.unblock()
        self.nacked = 0
        self._confirmed_to = 0
        self._confirmed_beyond: set[int] = set()

    @property
    def confirmed(self) -> int:
        return self._confirmed_to + len(self._confirmed_beyond) - self.nacked

    def template(self, body_bytes: int) -> tuple[bytes, bytes]:
        """What stands before and after a body of that size; the same for all, so it is made once."""
        properties = commands.Basic.Properties(content_type="application/json", delivery_mode=2)
        content = frame.marshal(header.ContentHeader(body_size=body_bytes, properties=properties), CHANNEL)
        return self._method + content + HEAD.pack(BODY, CHANNEL, body_bytes), b"\xce"

    def publish(self, frames: list[bytes]) -> None:
        self.send(b"".join(frames))

    def hear_confirms(self) -> None:
        for kind, payload in self.read():
            if kind != METHOD:
                continue
            method = METHOD_ID.unpack_from(payload)[0]
            if method not in (ACK, NACK):
                raise ConnectionError(f"the broker ended publishing: {payload!r}")
            tag, multiple = TAG_AND_MULTIPLE.unpack_from(payload, METHOD_ID.size)
            self._settle(tag, multiple=bool(multiple & 1), nacked=method == NACK)

    def _settle(self, tag: int, *, multiple: bool, nacked: bool) -> None:
        before = self._confirmed_to + len(self._confirmed_beyond)
        if multiple:
            self._confirmed_beyond = {each for each in self._confirmed_beyond if each > tag}
            self._confirmed_to = max(tag, self._confirmed_to)
        else:
            self._confirmed_beyond.add(tag)
        while self._confirmed_to + 1 in self._confirmed_beyond:
            self._confirmed_to += 1
            self._confirmed_beyond.discard(self._confirmed_to)
        if nacked:
            self.nacked += self._confirmed_to + len(self._confirmed_beyond) - before


class Listener(Connection):
    """Consumes a queue of its own that is bound to one exchange, and acknowledges what it reads."""

    def __init__(self, url: str, exchange: str, arguments: dict[str, Any]) -> None:
        super().__init__(url)
        queue = self.call(
            commands.Queue.Declare(queue="", exclusive=True, arguments=arguments), commands.Queue.DeclareOk
        ).queue
        bind = commands.Queue.Bind(queue=queue, exchange=exchange, routing_key="#")
        self.call(bind, commands.Queue.BindOk)
        self.call(commands.Basic.Qos(prefetch_count=5_000), commands.Basic.QosOk)
        self.call(commands.Basic.Consume(queue=queue), commands.Basic.ConsumeOk)
        self.unblock()
        self._received = 0

    def hear(self) -> list[bytes]:
        """The documents that have arrived since."""
        bodies = [payload for kind, payload in self.read() if kind == BODY]
        if bodies:
            self._received += len(bodies)
            self.send(frame.marshal(commands.Basic.Ack(self._received, multiple=True), CHANNEL))
        return bodies
