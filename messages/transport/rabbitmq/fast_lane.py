"""Splits a connection's incoming bytes into frames: a registered channel handles its own at once, aiormq gets the rest.

aiormq spends several awaits on each frame and a task on each delivery; it keeps whatever is rare, and heartbeats.
"""

import asyncio
from collections.abc import Callable
from typing import TypeAlias, cast

from messages.transport.rabbitmq.frames import END, HEAD, HEARTBEAT, LAST_KIND

AIORMQ_HEARTBEAT_SECONDS = 1.0
"""aiormq gives a connection up on which it sees nothing for 3 * (heartbeat + 1) seconds."""

Take: TypeAlias = Callable[[int, bytes, int, int], bool]
"""(kind, frames, start, end) -> whether it has handled the frame with the payload frames[start:end], or leaves it to
aiormq. Must not block."""


class FastLane(asyncio.StreamReaderProtocol):
    """Hands whole frames to their channel, and those that it leaves, in order, to the reader of aiormq."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self._handlers: dict[int, Take] = {}
        self._cut = b""
        self._framed = True
        self._now = asyncio.get_running_loop().time
        self._aiormq_received_at = self._now()
        self._socket: asyncio.Transport | None = None

    @property
    def open(self) -> bool:
        return self._socket is not None and not self._socket.is_closing()

    def register(self, channel: int, take: Take) -> None:
        """Hand it the channel's frames from now on, until it leaves or another one takes the number."""
        self._handlers[channel] = take

    def unregister(self, channel: int) -> None:
        """Hand the channel's frames to aiormq again."""
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
            take = handlers.get(channel)
            if take is None or not take(kind, frames, start, end):
                left.append(frames[at : end + 1])
            at = end + 1
        return left, at

    def _pass_on_a_heartbeat(self) -> None:
        now = self._now()
        if now - self._aiormq_received_at >= AIORMQ_HEARTBEAT_SECONDS:
            self._aiormq_received_at = now
            super().data_received(HEARTBEAT)
