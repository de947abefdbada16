"""What the tests ask of a real server, wherever it runs, and how they wait until it answers."""

import asyncio
import contextlib
import os
import random
import socket
from collections.abc import Awaitable, Callable
from typing import Protocol
from urllib.parse import urlsplit

import asyncpg

from tests.servers.management import Management

ANSWER_TIMEOUT_SECONDS = 300.0
CALL_SECONDS = 30.0
OFTEN_TOLD = (
    "-rabbit collect_statistics_interval 1000 -rabbit quorum_tick_interval 1000"
    " -rabbitmq_management_agent sample_retention_policies"
    " [{global,[{605,1}]},{basic,[{605,1}]},{detailed,[{605,1}]}]"
)
"""A broker's arguments: its management plugin hears of queues and connections once a second, and not every 5 s only,
and looks as often as its shortest retention interval says, which is 5 s otherwise, for what to list."""
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"


class Unavailable(Exception):
    """Why a server cannot be had from one of the places where it might be; one line."""


class Server(Protocol):
    """Stopped or killed, it can be started again: with its data, at the same address."""

    url: str

    async def start(self) -> None:
        """Return when it answers."""

    async def stop(self) -> None:
        """End in order."""

    async def kill(self) -> None:
        """End like in a crash: SIGKILL."""

    async def remove(self) -> None:
        """End, if need be, and leave nothing behind."""


class Primary(Server, Protocol):
    """A PostgreSQL that others can follow."""

    async def standby(self) -> Server:
        """A copy of it that follows it, running. Its commits do not wait for it yet."""


class Broker(Server, Protocol):
    """A RabbitMQ node with the management plugin; the URLs carry the credentials of an administrator."""

    management_url: str


async def postgres_answers(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=CALL_SECONDS)
    await connection.close()


async def postgres_executes(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url, timeout=CALL_SECONDS)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def rabbitmq_answers(url: str, management_url: str) -> None:
    await Management(management_url).call("GET", "overview")
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(PROTOCOL_HEADER)
    try:
        await asyncio.wait_for(reader.readexactly(1), timeout=CALL_SECONDS)
    finally:
        writer.close()


async def until(answers: Callable[[], Awaitable[None]]) -> None:
    """Repeat `answers` until it does not raise; its last error is raised if that takes too long."""
    deadline = asyncio.get_running_loop().time() + ANSWER_TIMEOUT_SECONDS
    while True:
        try:
            return await answers()
        except (OSError, asyncpg.PostgresError, asyncio.IncompleteReadError):
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.1)


WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
PORTS = range(20_000 + WORKER, 32_768, WORKERS)
"""Where Linux and macOS give none to whoever connects to somebody else meanwhile, and no other process of this run."""
_given: set[int] = set()


def free_port() -> int:
    """No two callers in one run get the same."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            if port not in _given:
                probe.bind(("", port))
                _given.add(port)
                return port
    raise Unavailable("no port is free")
