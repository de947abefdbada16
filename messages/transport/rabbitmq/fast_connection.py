"""aio-pika's connection with a fast lane under it, to whichever address of the host answers."""

import asyncio
import socket
from contextlib import suppress
from random import shuffle
from typing import Any

import aio_pika
from aio_pika.abc import TimeoutType
from aiormq.abc import ExceptionType
from aiormq.connection import TransportFactory, exception_by_code
from aiormq.exceptions import AMQPConnectionError, AMQPError, ConnectionClosed, InvalidFrameError
from yarl import URL

from messages.transport.rabbitmq.fast_lane import FastLane
from messages.transport.rabbitmq.frames import CONNECTION_CHANNEL, METHOD, REFUSAL_ID, refusal

READER_BYTES = 65_536
CONNECT_SECONDS = 10.0
"""How long connecting may take, for all addresses of a name together."""
CLOSE_SECONDS = 1.0


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
            raise self._transports.refused or error from None

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
        self.refused: AMQPError | None = None
        """With what the broker refuses a connection: aiormq reports that as an unexpected frame, without its words."""

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
        lane.register(CONNECTION_CHANNEL, self._watch)
        transport, _ = await loop.create_connection(lambda: lane, *address, **kwargs)
        return reader, asyncio.StreamWriter(transport, lane, reader, loop)

    def _watch(self, kind: int, frames: bytes, start: int, _end: int) -> bool:
        if kind == METHOD and frames.startswith(REFUSAL_ID, start):
            self.refused = exception_by_code(refusal(frames, start))
        return False


async def _addresses(url: URL) -> list[tuple[str, int]]:
    found = await asyncio.get_running_loop().getaddrinfo(url.host or "", url.port or 0, type=socket.SOCK_STREAM)
    shuffle(found)
    return [(str(address[0]), int(address[1])) for *_, address in found]
