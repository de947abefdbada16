"""One cell: its own databases and virtual host, its daemons, its customer, and queries on its state."""

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import asyncpg

from tests.end_to_end.client import Client
from tests.end_to_end.daemons import ROOT, SERVICES, Daemon
from tests.end_to_end.market import Market
from tests.end_to_end.observer import Observer
from tests.end_to_end.waiting import until
from tests.integration.small_system import migrate_all
from tests.servers.databases import drop
from tests.servers.environment import inherited
from tests.servers.management import Management

QUEUES = (
    "order_saga.orders", "order_saga.answers", "store_worker.reserve", "store_worker.settle", "store_worker.reports",
    "delivery_worker.reserve", "delivery_worker.settle", "delivery_worker.reports",
)  # fmt: skip

# Faults take their time, the more so on a slow machine: no order is to be given up for that.
PATIENT = {"ORDER_SAGA_BUDGET_SECONDS": "60", "ORDER_SAGA_LEASE_SECONDS": "90"}
# What a crash leaves to be said is said soon, and what is assigned is asked about soon: tests are short.
IMPATIENT = {
    f"{service.upper()}_{name}": value
    for service in SERVICES
    for name, value in {"RELAY_AFTER_SECONDS": "6", "RELAY_INTERVAL_SECONDS": "0.5"}.items()
} | {"STORE_WORKER_INQUIRY_AFTER_SECONDS": "5", "DELIVERY_WORKER_INQUIRY_AFTER_SECONDS": "5"}


class Servers(NamedTuple):
    """Administrators' URLs of the servers that a cell lives on."""

    postgres_url: str
    broker_url: str
    management_url: str


class Cell:
    """Everything of one cell. `postgres` and `rabbitmq` are shared with others, the rest is its own."""

    def __init__(self, servers: Servers, settings: dict[str, str], folder: Path) -> None:
        self.servers = servers
        self.name = f"cell_{uuid.uuid4().hex[:12]}"
        self.management = Management(servers.management_url)
        self.broker_url = urlsplit(servers.broker_url)._replace(path=f"/{self.name}").geturl()
        self.databases = {service: self._database_url(service) for service in SERVICES}
        self._observers = {service: Observer(url) for service, url in self.databases.items()}
        self.client = Client(self.broker_url)
        self.daemons: list[Daemon] = []
        self.markets: list[Market] = []
        self.folder = folder
        self._environment = {
            **inherited(SERVICES),
            **{f"{service.upper()}_DATABASE_URL": url for service, url in self.databases.items()},
            "BROKER_URL": self.broker_url,
            "LOG_FORMAT": "json",
            **PATIENT,
            **IMPATIENT,
            **settings,
        }

    async def make(self) -> None:
        """Create virtual host, databases and tables."""
        await self.management.create_vhost(self.name)
        connection = await asyncpg.connect(self.servers.postgres_url)
        try:
            for service in SERVICES:
                await connection.execute(f"CREATE DATABASE {self.name}_{service}")
        finally:
            await connection.close()
        await migrate_all(self.databases)

    async def remove(self) -> None:
        for daemon in self.daemons:
            await daemon.remove()
        for observer in self._observers.values():
            observer.leave()
        await self.management.delete_vhost(self.name)
        connection = await asyncpg.connect(self.servers.postgres_url)
        try:
            for service in SERVICES:
                await drop(connection, f"{self.name}_{service}")
        finally:
            await connection.close()

    def hire(self, of_each: int = 1) -> None:
        """Make daemons, so many of each service; they are not started."""
        for service in SERVICES:
            for number in range(of_each):
                self.hire_one(service, f"{service}-{number}")

    def hire_one(self, service: str, name: str, **settings: str) -> Daemon:
        """Make one more daemon, with these settings beside those of all."""
        self.daemons.append(Daemon(service, self._environment | settings, self.folder / f"{name}.log"))
        return self.daemons[-1]

    async def start(self) -> None:
        await asyncio.gather(*(daemon.start() for daemon in self.daemons))

    def daemon(self, service: str) -> Daemon:
        """The only one of its service."""
        (daemon,) = (daemon for daemon in self.daemons if daemon.service == service)
        return daemon

    async def market(self, agents: int = 0, **packets: int) -> Market:
        """A store with so many packets of each sku, in a zone with so many agents; ready to sell."""
        market = Market.of(agents, packets)
        self.markets.append(market)
        await asyncio.gather(*(self.client.say(said) for said in market.stocking()))
        await self.until_free(market)
        return market

    async def until_free(self, market: Market) -> None:
        """Wait until every packet is on the shelf, and every agent idle."""
        packets = "SELECT unit_id FROM published.stock WHERE place = $1 AND state = 'free'"
        await self.until_rows("store_worker", packets, market.store_id, number=len(market.packet_ids))
        await self.until_rows("delivery_worker", packets, market.zone, number=len(market.agents))

    async def rows(self, service: str, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        return await self._observers[service].rows(sql, *arguments)

    async def until_rows(self, service: str, sql: str, *arguments: Any, number: int = 1) -> None:
        """Wait until the query finds so many rows, or more."""

        async def found() -> bool:
            return len(await self.rows(service, sql, *arguments)) >= number

        await until(found, f"{service}: {number} rows of {sql} {arguments}")

    async def until_noted(self, service: str, order_id: str, event: str, detail: str = "") -> None:
        """Wait until a service's timeline tells that of an order."""
        sql = "SELECT FROM published.timeline WHERE order_id = $1 AND event = $2 AND strpos(detail, $3) > 0"
        await self.until_rows(service, sql, uuid.UUID(order_id), event, detail)

    async def until_held(self, service: str, order_id: str, state: str) -> None:
        """Wait until a worker's reservation for an order is in this state."""
        sql = "SELECT FROM published.holdings WHERE order_id = $1 AND state = $2"
        await self.until_rows(service, sql, uuid.UUID(order_id), state)

    async def connections_of(self, service: str) -> list[str]:
        """What the broker calls them. A new one is not listed at once."""
        connections = await self.management.call("GET", f"vhosts/{self.name}/connections")
        return [each["name"] for each in connections if each.get("user_provided_name", "").startswith(service)]

    async def close_connection(self, name: str) -> None:
        """As an operator does: the broker ends it, whatever its other end is doing."""
        await self.management.call("DELETE", f"connections/{quote(name, safe='')}")

    async def command(self, *arguments: str, **settings: str) -> tuple[int, str]:
        """`order_saga audit`, say, with these settings beside its own: the exit code, and everything printed."""
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-m", *arguments],
            cwd=ROOT, env=self._environment | settings, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    async def discard_parked(self, service: str) -> None:
        """As an operator does who has looked at it."""
        code, output = await self.command(service, "parked", "list", "--json")
        assert code == 0, output
        ids = [str(json.loads(line)["id"]) for line in output.splitlines()]
        code, output = await self.command(service, "parked", "discard", *ids)
        assert (code, output) == (0, f"{len(ids)} discarded\n")

    def _database_url(self, service: str) -> str:
        return urlsplit(self.servers.postgres_url)._replace(path=f"/{self.name}_{service}").geturl()


@asynccontextmanager
async def cell(
    servers: Servers, folder: Path, *, of_each: int = 1, start: bool = True, **settings: str
) -> AsyncIterator[Cell]:
    """A new cell, with so many daemons of each service, with these settings before those of all cells."""
    made = Cell(servers, settings, folder)
    try:
        await made.make()
        made.hire(of_each)
        if start:
            await made.start()
        async with made.client:
            yield made
    finally:
        await made.remove()
