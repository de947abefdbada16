"""Splits a connection's incoming bytes into frames: a registered channel handles its own at once, aiormq gets the rest.

aiormq spends several awaits on each frame and a task on each delivery; it keeps whatever is rare, and heartbeats.
"""

import asyncio
import socket
from contextlib import suppress
from random import shuffle
from typing import Any, Protocol, cast

import aio_pika
from aio_pika.abc import TimeoutType
from aiormq.abc import ExceptionType
from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPConnectionError, ConnectionClosed, InvalidFrameError
from yarl import URL

from messages.transport.rabbitmq.first_frames import FirstFrames
from messages.transport.rabbitmq.frames import CONNECTION_CHANNEL, END, HEAD, HEARTBEAT, LAST_KIND

AIORMQ_HEARTBEAT_SECONDS = 1.0
"""aiormq gives a connection up on which it sees nothing for 3 * (heartbeat + 1) seconds."""
READER_BYTES = 65_536
CONNECT_SECONDS = 10.0
"""How long connecting may take, for all addresses of a name together."""
CLOSE_SECONDS = 1.0


class FrameHandler(Protocol):
    """A channel whose frames take the fast lane."""

    def take(self, kind: int, frames: bytes, start: int, end: int) -> bool:
        """Handle the frame with the payload frames[start:end], or return False for aiormq. Must not block."""

    def end_of_read(self) -> None:
        """All frames of one read have been handed out."""


class FastLane(asyncio.StreamReaderProtocol):
    """Hands whole frames to their channel, and those that it leaves, in order, to the reader of aiormq."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self._handlers: dict[int, FrameHandler] = {}
        self._cut = b""
        self._framed = True
        self._now = asyncio.get_running_loop().time
        self._aiormq_received_at = self._now()
        self._socket: asyncio.Transport | None = None

    @property
    def open(self) -> bool:
        return self._socket is not None and not self._socket.is_closing()

    def register(self, channel: int, handler: FrameHandler) -> None:
        """Hand it the channel's frames from now on, until it leaves or another one takes the number."""
        self._handlers[channel] = handler

    def unregister(self, channel: int) -> None:
        """Hand the channel's frames to aiormq again, and stop calling its `end_of_read`."""
        del self._handlers[channel]

    def write(self, frames: bytes) -> None:
        """Send whole frames at once, past aiormq's queue: nothing can happen between decision and sending."""
        assert self._socket is not None
        self._socket.write(frames)

    def abort(self) -> None:
        """Close at once, and drop what is not sent yet."""
        if self._socket is not None:
            self._socket.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast("asyncio.Transport", transport)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._socket = None  # early releases of Python 3.11 fail to abort TLS that is over
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._framed:
            super().data_received(data)
            return
        frames = self._cut + data if self._cut else data
        left, at = self._hand_out(frames)
        self._cut = frames[at:]
        if left:
            self._aiormq_received_at = self._now()
            super().data_received(b"".join(left))
        elif at:
            self._pass_on_a_heartbeat()
        for handler in self._handlers.values():
            handler.end_of_read()

    def eof_received(self) -> bool | None:
        super().data_received(self._cut)
        return super().eof_received()

    def _hand_out(self, frames: bytes) -> tuple[list[bytes], int]:
        """The frames that no channel took, and where the first incomplete frame begins."""
        left: list[bytes] = []
        at, size = 0, len(frames)
        handlers = self._handlers
        while (start := at + HEAD.size) <= size:
            kind, channel, length = HEAD.unpack_from(frames, at)
            end = start + length
            if kind > LAST_KIND or (end < size and frames[end] != END):
                self._framed = False  # aiormq reports what is wrong with it
                return [*left, frames[at:]], size
            if end >= size:
                break
            handler = handlers.get(channel)
            if handler is None or not handler.take(kind, frames, start, end):
                left.append(frames[at : end + 1])
            at = end + 1
        return left, at

    def _pass_on_a_heartbeat(self) -> None:
        now = self._now()
        if now - self._aiormq_received_at >= AIORMQ_HEARTBEAT_SECONDS:
            self._aiormq_received_at = now
            super().data_received(HEARTBEAT)


class FastConnection(aio_pika.Connection):
    """aio-pika's connection, with a fast lane under it."""

    def __init__(self, url: URL) -> None:
        super().__init__(url)
        self._transports = self.kwargs["transport_factory"] = _Transports()

    @property
    def lane(self) -> FastLane:
        """Available once connected."""
        assert self._transports.lane is not None
        return self._transports.lane

    async def connect(self, timeout: TimeoutType = None) -> None:  # noqa: ASYNC109  aio-pika's
        """Raises what the broker says if it refuses; AMQPConnectionError also if it, or a proxy, closes at once."""
        try:
            # aio-pika's own limit is wait_for, which up to Python 3.11 drops a cancellation that comes with the result.
            async with asyncio.timeout(timeout):
                await super().connect()
        except StopAsyncIteration:  # aiormq's; a generator that it passed through would make it a RuntimeError
            raise AMQPConnectionError("Server connection unexpectedly closed") from None
        except InvalidFrameError as error:
            raise self._transports.first_frames.refused or error from None

    async def close(self, exc: ExceptionType | None = ConnectionClosed) -> None:
        """Close for good, even if the broker is not there to answer, or does not even read."""
        # aiormq waits, also when it is cancelled, until all is sent, or until the peer has ended TLS.
        giving_up = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._transports.abort)
        try:
            await super().close(exc)
        finally:
            giving_up.cancel()
            self._transports.abort()  # if connecting was cancelled, aio-pika may not know what aiormq has opened
            await super().close(exc)  # or it takes it for open, and closes it once more when it is garbage-collected


class _Transports(TransportFactory):
    def __init__(self) -> None:
        self.lane: FastLane | None = None
        self.first_frames = FirstFrames()

    def abort(self) -> None:
        if self.lane is not None:
            self.lane.abort()

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Try every address of the host, in any order, each for its share of the time: one may be silent."""
        context = kwargs.pop("ssl_context_provider")
        if url.scheme == "amqps":
            kwargs |= {"ssl": await context.get_context(), "server_hostname": url.host}
        try:
            *others, last = await _addresses(url)
            for address in others:
                with suppress(OSError):
                    async with asyncio.timeout(CONNECT_SECONDS / (len(others) + 1)):
                        return await self._open(address, kwargs)
            return await self._open(last, kwargs)
        except OSError as error:
            raise AMQPConnectionError(*error.args) from error

    async def _open(self, address: tuple[str, int], kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(READER_BYTES, loop)
        lane = self.lane = FastLane(reader)
        lane.register(CONNECTION_CHANNEL, self.first_frames)
        transport, _ = await loop.create_connection(lambda: lane, *address, **kwargs)
        return reader, asyncio.StreamWriter(transport, lane, reader, loop)


async def _addresses(url: URL) -> list[tuple[str, int]]:
    found = await asyncio.get_running_loop().getaddrinfo(url.host or "", url.port or 0, type=socket.SOCK_STREAM)
    shuffle(found)
    return [(str(address[0]), int(address[1])) for *_, address in found]
