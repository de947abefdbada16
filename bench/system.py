"""One whole system on fresh databases: made, filled, started, audited and removed."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika

from bench.connecting import connected
from bench.daemons import SERVICES, Daemon, command
from bench.meter import Meter
from bench.processes import peak_rss_megabytes
from bench.servers import Servers
from bench.stock import Supply, fill
from bench.workload import Workload
from deploy.definitions import all_services
from messages.transport.rabbitmq.topology import declare
from messages.transport.topology import topology_of
from tests.servers.environment import inherited
from tests.servers.remains import remains

AUDIT_GRACE_SECONDS = 5


class NotClean(Exception):
    """The audit has found something, or a daemon has complained: there is no figure."""


class System:
    """`of_each` daemons of every service, three databases and a virtual host."""

    daemon_type: type[Daemon] = Daemon

    def __init__(self, servers: Servers, folder: Path, of_each: int) -> None:
        self.servers = servers
        self.name = f"bench_{uuid4().hex[:10]}"
        self.databases = {service: f"{self.name}_{service}" for service in SERVICES}
        self.urls = {service: _at(servers.postgres_url, name) for service, name in self.databases.items()}
        self.broker_url = _at(servers.broker_url, self.name)
        self.environment = inherited(SERVICES) | {
            **{f"{service.upper()}_DATABASE_URL": url for service, url in self.urls.items()},
            "BROKER_URL": self.broker_url,
            "TOPOLOGY": "expect",
            "LOG_FORMAT": "json",
        }
        self.daemons = [
            self.daemon_type(service, self.environment, folder / f"{service}-{number}.log")
            for service in SERVICES
            for number in range(of_each)
        ]

    @classmethod
    @asynccontextmanager
    async def fresh(cls, servers: Servers, *, of_each: int = 1) -> AsyncIterator[Self]:
        """Made, but neither filled nor started; removed afterwards."""
        folder = Path(tempfile.mkdtemp(dir=remains().folder))
        made = cls(servers, folder, of_each)
        try:
            await made.make()
            yield made
        finally:
            await made.remove()
            shutil.rmtree(folder)

    async def make(self) -> None:
        await self.servers.management.create_vhost(self.name)
        async with connected(self.servers.postgres_url) as connection:
            for database in self.databases.values():
                await connection.execute(f"CREATE DATABASE {database}")
        await asyncio.gather(*(command(self.environment, service, "migrate") for service in SERVICES))
        async with await aio_pika.connect(self.broker_url) as broker:
            await declare(broker, topology_of(all_services()))

    async def fill(self, workload: Workload, supply: Supply) -> None:
        """Bring what these orders want, as far as it is supplied."""
        await fill(self.urls, workload, supply)

    async def start(self) -> None:
        """Start all daemons, after a checkpoint, so that none falls into a short run."""
        await self.execute("postgres", "CHECKPOINT")
        await self.spawn()
        await asyncio.gather(*(daemon.ready() for daemon in self.daemons))

    async def spawn(self) -> None:
        await asyncio.gather(*(daemon.start() for daemon in self.daemons))

    async def stop(self) -> None:
        await asyncio.gather(*(daemon.stop() for daemon in self.daemons))

    async def audit(self) -> None:
        """Raises NotClean."""
        complaints = [line for daemon in self.daemons for line in daemon.complaints()]
        if complaints:
            raise NotClean(f"{len(complaints)} errors logged, the first: {complaints[0][:1000]}")
        try:
            await command(self.environment, "order_saga", "audit", "--grace", str(AUDIT_GRACE_SECONDS))
        except RuntimeError as error:
            raise NotClean(str(error)) from None

    async def remove(self) -> None:
        await self.stop()
        await self.servers.management.delete_vhost(self.name)
        for database in self.databases.values():
            await self.execute("postgres", f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    async def execute(self, service: str, sql: str) -> None:
        """In the service's database, or in `postgres`."""
        async with connected(self._url(service)) as connection:
            await connection.execute(sql)

    async def value(self, service: str, sql: str) -> Any:
        """The one value that a query has, in the same databases."""
        async with connected(self._url(service)) as connection:
            return await connection.fetchval(sql)

    def _url(self, service: str) -> str:
        return self.urls.get(service, self.servers.postgres_url)

    def meter(self) -> Meter:
        return Meter(self.servers, self.databases.values(), self._processes)

    def _processes(self) -> dict[str, list[int]]:
        return {
            service: [daemon.pid for daemon in self.daemons if daemon.service == service and daemon.process]
            for service in SERVICES
        }

    def peak_rss_megabytes(self) -> dict[str, float]:
        """Of each service the largest daemon; and the broker's, whose memory grows with what waits in it."""
        peaks = [(daemon.service, peak_rss_megabytes(daemon.pid)) for daemon in self.daemons]
        return {service: max(peak for name, peak in peaks if name == service) for service in SERVICES} | {
            "broker": peak_rss_megabytes(self.servers.broker_pid)
        }


def _at(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()
