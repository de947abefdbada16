"""One address for several servers: who connects is led to the first of them that accepts."""

import asyncio
from collections.abc import Sequence
from typing import Self, TypeAlias

from tests.servers.server import free_port

Place: TypeAlias = tuple[str, int]


class Balancer:
    """Forwards TCP. Who is connected stays where they are, though an earlier place accepts again."""

    def __init__(self, places: Sequence[Place]) -> None:
        self.port = free_port()
        self._places = places
        self._writers: set[asyncio.StreamWriter] = set()
        self._forwarding: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._connect, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._forwarding)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for place in self._places:
            try:
                far_reader, far_writer = await asyncio.open_connection(*place)
            except OSError:
                continue
            if not self._listener.is_serving():  # closed meanwhile
                far_writer.transport.abort()
                break
            self._forward(reader, far_writer)
            self._forward(far_reader, writer)
            return
        writer.transport.abort()

    def _forward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        self._writers.add(sink)
        task = asyncio.create_task(self._copy(source, sink))
        self._forwarding.add(task)
        task.add_done_callback(self._forwarding.discard)

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Until either end is gone; then the other one learns of it."""
        try:
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            self._writers.discard(sink)
            sink.close()
