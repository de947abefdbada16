"""A network between a client and its server that a test can cut, freeze, or make say what it likes."""

import asyncio
from types import TracebackType
from typing import Self, TypeAlias
from urllib.parse import unquote, urlsplit

from pamqp.commands import Connection
from pamqp.frame import marshal

from tests.servers.server import free_port

POSTGRES_SOCKET = ".s.PGSQL.5432"
INTRODUCTION_BYTES = 2_000

_Pair: TypeAlias = tuple[asyncio.StreamWriter, asyncio.StreamWriter]
"""The client's end and the server's."""


class Network:
    """Forwards TCP to the server of `url`, which may also be a PostgreSQL that listens on a socket in a folder only;
    `Network.url` leads through it."""

    def __init__(self, url: str) -> None:
        self._server = urlsplit(url)
        self._user, _, self._place = self._server.netloc.rpartition("@")
        self._listener: asyncio.Server | None = None
        self._port = free_port()
        self._pairs: set[_Pair] = set()
        self._introductions: dict[_Pair, bytes] = {}
        """What each client has said first; in RabbitMQ's protocol, also the connection's name."""
        self._forwarding: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._forsaken: list[asyncio.Event] = []
        self.accepted = 0
        """How many clients have connected so far."""

    @property
    def url(self) -> str:
        return self._server._replace(netloc=f"{self._user}@127.0.0.1:{self._port}").geturl()

    @property
    def connections(self) -> int:
        return len(self._pairs)

    async def __aenter__(self) -> Self:
        await self.plug_in()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.unplug()

    async def plug_in(self) -> None:
        """Let connections through; at the same address as before."""
        self._listener = await asyncio.start_server(self._connect, "127.0.0.1", self._port)

    async def unplug(self) -> None:
        """Break what is connected, and refuse what comes."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self.flicker()
        for flows in (self._flows, *self._forsaken):
            flows.set()
        await asyncio.gather(*self._forwarding)

    def flicker(self) -> None:
        """Break what is connected."""
        for pair in self._pairs:
            _break(pair)

    def freeze(self) -> None:
        """Carry nothing more, and tell nobody."""
        self._flows.clear()

    def forsake(self) -> None:
        """Carry nothing more for those who are connected, and tell them nothing; who connects anew is served."""
        self._forsaken.append(self._flows)
        self.freeze()
        self._flows = asyncio.Event()
        self.thaw()

    def thaw(self) -> None:
        self._flows.set()

    def say_blocked(self, name: str) -> None:
        """What RabbitMQ says to a connection that publishes while it is low on memory or disk: to those of that name,
        or whose name ends so."""
        self._say(marshal(Connection.Blocked("low on memory"), 0), name)

    def say_unblocked(self, name: str) -> None:
        self._say(marshal(Connection.Unblocked(), 0), name)

    def _say(self, frame: bytes, name: str) -> None:
        for pair in self._pairs:
            if name.encode() in self._introductions[pair]:
                pair[0].write(frame)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await self._reach()
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, far_writer)
        if self._listener is None:  # unplugged meanwhile
            _break(pair)
            return
        self.accepted += 1
        self._pairs.add(pair)
        self._introductions[pair] = b""
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._forward(source, sink, pair))
            self._forwarding.add(task)
            task.add_done_callback(self._forwarding.discard)

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        folder = unquote(self._place)
        if folder.startswith("/"):
            return await asyncio.open_unix_connection(f"{folder}/{POSTGRES_SOCKET}")
        return await asyncio.open_connection(self._server.hostname, self._server.port)

    def _passed_on(self, data: bytes) -> bytes:
        """What becomes of data on its way."""
        return data

    async def _forward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, pair: _Pair) -> None:
        flows = self._flows
        try:
            while data := await source.read(65_536):
                if sink is pair[1]:
                    self._introductions[pair] = (self._introductions[pair] + data)[:INTRODUCTION_BYTES]
                await flows.wait()
                sink.write(self._passed_on(data))
                await sink.drain()
        except OSError:
            pass
        finally:
            self._pairs.discard(pair)
            for writer in pair:
                writer.close()


def _break(pair: _Pair) -> None:
    for writer in pair:
        writer.transport.abort()
