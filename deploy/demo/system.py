"""All services in this process: a database each, and a broker in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg
from pydantic import SecretStr

from deploy.demo import queries
from deploy.demo.stalling import StallingBroker
from deploy.services import SERVICES
from messages.contracts.participation import SETTLE
from messages.transport.addresses import queue_name
from messages.transport.broker import Broker
from messages.transport.daemon.process import Process
from messages.transport.database.migrating import migrate
from messages.transport.edge.outcomes import Listener
from messages.transport.in_process.broker import InProcessBroker
from messages.transport.service import Service
from messages.transport.settings import Settings
from messages.transport.topology import listener, topology_of
from order_saga import service as order_saga

BUDGET_SECONDS = 4.0
LEASE_SECONDS = 9
"""As short as the settings allow, so that a lease soon runs out."""
SWEEP_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class System:
    """The running services, as customers and observers see them."""

    broker: Broker
    listener: Listener
    store: StallingBroker
    """The store worker's broker: it can be kept from assigning."""
    urls: dict[str, str]
    """Service -> its database."""


@asynccontextmanager
async def running(postgres_url: str) -> AsyncIterator[System]:
    """Run all services for as long as the block lasts; they drain at its end."""
    urls = {name: _of_database(postgres_url, name) for name in SERVICES}
    services = _services(urls)
    await _prepare(postgres_url, urls, services)
    broker = InProcessBroker(topology_of([service for service, _ in services]))
    store = StallingBroker(broker.beside(), queue_name("store_worker", SETTLE))
    brokers = {"store_worker": store}
    stop = asyncio.Event()
    processes = [
        asyncio.create_task(Process(service, settings, brokers.get(service.name) or broker.beside()).run(stop))
        for service, settings in services
    ]
    try:
        yield System(broker, await _listen(broker), store, urls)
    finally:
        stop.set()
        await asyncio.gather(*processes)


def _services(urls: dict[str, str]) -> list[tuple[Service, Settings]]:
    hurried = {order_saga.NAME: {"budget_seconds": BUDGET_SECONDS, "lease_seconds": LEASE_SECONDS}}
    services = []
    for name, (settings_of, make) in SERVICES.items():
        own = hurried.get(name, {"sweep_interval_seconds": SWEEP_SECONDS})
        settings = settings_of(database_url=SecretStr(urls[name]), **own)
        services.append((make(settings), settings))
    return services


async def _prepare(postgres_url: str, urls: dict[str, str], services: list[tuple[Service, Settings]]) -> None:
    connection = await asyncpg.connect(postgres_url)
    for service, _ in services:
        await queries.create_database(connection, service.name)
        own = await asyncpg.connect(urls[service.name])
        await migrate(own, service.migrations)
        await own.close()
    await connection.close()


async def _listen(broker: InProcessBroker) -> Listener:
    topology = listener("demo")
    broker.declare(topology)
    await broker.start()
    return await Listener.on(broker, topology.queues[0].name)


def _of_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()
