"""What a run costs: counters of the machine, PostgreSQL and RabbitMQ before and after it."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.request import urlopen

from bench.connecting import connected
from bench.processes import cpu_seconds, machine_cpu_seconds
from bench.servers import Servers

STATISTICS_SECONDS = 1.5
"""How soon PostgreSQL has counted a transaction, as long as its connection goes on working."""
RECEIVED = 'rabbitmq_global_messages_received_total{protocol="amqp091"}'


Processes: TypeAlias = Callable[[], Mapping[str, Collection[int]]]
"""Group -> the ids of its processes by now."""


@dataclass(frozen=True, slots=True)
class Counters:
    at: float
    cpu_seconds: Mapping[str, float]
    machine_cpu_seconds: float
    amqp_messages: int
    wal_bytes: int
    commits: int
    deadlocks: int


@dataclass(frozen=True, slots=True)
class Cost:
    """The difference of two readings."""

    seconds: float
    cpu_seconds: Mapping[str, float]
    """By service, `broker` and `postgresql`."""
    machine_cpu_seconds: float
    amqp_messages: int
    wal_bytes: int
    commits: int
    deadlocks: int


class Meter:
    """Reads the counters of the servers, of these databases and of these processes."""

    def __init__(self, servers: Servers, databases: Collection[str], processes: Processes) -> None:
        self._servers = servers
        self._databases = list(databases)
        self._processes = processes
        self._before: Counters | None = None

    async def start(self) -> None:
        await asyncio.sleep(STATISTICS_SECONDS)
        self._before = await self._read()

    async def stop(self) -> Cost:
        before, after = self._before, await self._read()
        assert before is not None, "it was started"
        return Cost(
            after.at - before.at,
            {name: seconds - before.cpu_seconds[name] for name, seconds in after.cpu_seconds.items()},
            after.machine_cpu_seconds - before.machine_cpu_seconds,
            after.amqp_messages - before.amqp_messages,
            after.wal_bytes - before.wal_bytes,
            after.commits - before.commits,
            after.deadlocks - before.deadlocks,
        )

    async def _read(self) -> Counters:
        groups = {"broker": [self._servers.broker_pid], "postgresql": [self._servers.postgres_pid]}
        cpu = cpu_seconds({**groups, **self._processes()})
        at, machine = time.monotonic(), machine_cpu_seconds()
        amqp = await asyncio.to_thread(_messages_published, self._servers.counters_url)
        await asyncio.sleep(STATISTICS_SECONDS)
        row = await self._read_postgres()
        return Counters(at, cpu, machine, amqp, row["wal_bytes"], row["commits"], row["deadlocks"])

    async def _read_postgres(self) -> Any:
        async with connected(self._servers.postgres_url) as connection:
            return await connection.fetchrow(
                "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS wal_bytes,"
                " sum(xact_commit)::bigint AS commits, sum(deadlocks)::bigint AS deadlocks"
                " FROM pg_stat_database WHERE datname = ANY ($1)",
                self._databases,
            )


def _messages_published(url: str) -> int:
    with urlopen(url, timeout=10) as answer:  # noqa: S310  our own server's
        for line in answer.read().decode().splitlines():
            if line.startswith(RECEIVED):
                return int(float(line.rpartition(" ")[2]))
    raise RuntimeError(f"RabbitMQ does not report {RECEIVED}")
