"""All three services in this process, each with a database of its own, on any broker."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from io import BytesIO
from typing import TypeAlias
from urllib.parse import urlsplit

import asyncpg

from deploy.definitions import all_services
from deploy.services import SERVICES
from messages.transport.broker import Broker
from messages.transport.daemon.process import Process
from messages.transport.database.migrating import migrate
from messages.transport.edge.outcomes import Listener
from order_saga.client.awaiting import Result
from order_saga.client.place import Limits, place
from order_saga.client.request_lines import Lines

Urls: TypeAlias = Mapping[str, str]
"""Service name -> URL of its database."""
UNHURRIED: Mapping[str, Mapping[str, float]] = {
    "order_saga": {"budget_seconds": 300, "lease_seconds": 600, "repeat_base_seconds": 60, "repeat_cap_seconds": 60}
}
"""Service name -> settings under which no order is too late and no command repeated, however slow the machine is."""

WAIT_SECONDS = 60.0


@asynccontextmanager
async def databases(postgres_url: str) -> AsyncIterator[Urls]:
    """New databases, migrated; dropped afterwards."""
    urls = {service: _of_database(postgres_url, f"test_{uuid.uuid4().hex}") for service in SERVICES}
    connection = await asyncpg.connect(postgres_url)
    try:
        for url in urls.values():
            await connection.execute(f"CREATE DATABASE {_name(url)}")
        await migrate_all(urls)
        yield urls
    finally:
        for url in urls.values():
            await connection.execute(f"DROP DATABASE IF EXISTS {_name(url)} WITH (FORCE)")
        await connection.close()


@asynccontextmanager
async def running(urls: Urls, new_broker: Callable[[], Broker]) -> AsyncIterator[None]:
    """The services run, each on a broker of its own, until the end of the block; then they drain."""
    stop = asyncio.Event()
    processes = []
    for name, (settings_of, make) in SERVICES.items():
        settings = settings_of(database_url=urls[name], pool_size=2, **UNHURRIED.get(name, {}), drain_seconds=60)
        processes.append(asyncio.create_task(Process(make(settings), settings, new_broker()).run(stop)))
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*processes)


async def place_all(broker: Broker, queue: str, documents: Iterable[bytes]) -> list[Result]:
    """Place all, and wait for what becomes of them; in the order of the documents."""
    listener = await Listener.on(broker, queue)
    results: list[Result] = []
    lines = Lines(BytesIO(b"\n".join(documents)))
    await place(broker, listener, lines, Limits(timeout_seconds=WAIT_SECONDS), results.append)
    return sorted(results, key=lambda result: result.asked.line)


async def until(url: str, question: str) -> None:
    """Wait until the database answers a question with true."""
    deadline = time.monotonic() + WAIT_SECONDS
    connection = await asyncpg.connect(url)
    try:
        while not await connection.fetchval(question):
            assert time.monotonic() < deadline, f"not within {WAIT_SECONDS} s: {question}"
            await asyncio.sleep(0.02)
    finally:
        await connection.close()


async def migrate_all(urls: Urls) -> None:
    """What the `migrate` of each service does, without a process for each."""
    for service in all_services():
        connection = await asyncpg.connect(urls[service.name])
        await migrate(connection, service.migrations)
        await connection.close()


def _of_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def _name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")
