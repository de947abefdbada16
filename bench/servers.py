"""A PostgreSQL and a RabbitMQ for the benchmark alone: durable in every respect, and gone when it ends."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from docker.models.containers import Container

from tests.servers import containers
from tests.servers.management import Management
from tests.servers.remains import LABEL, remains
from tests.servers.server import postgres_answers, rabbitmq_answers, until

POSTGRES_SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
}
# One scheduler. More of them, or one that never spins while it waits, cost more CPU an order here, not less.
ERLANG_FLAGS = "+S 1:1"


@dataclass(frozen=True, slots=True)
class Servers:
    """Their URLs, and the root of the process tree of each."""

    postgres_url: str
    postgres_pid: int
    broker_url: str
    broker_pid: int
    management: Management
    counters_url: str
    """RabbitMQ's Prometheus page: exact counts, where the management API has samples."""


@asynccontextmanager
async def servers() -> AsyncIterator[Servers]:
    """Start both, and remove them with their data."""
    # By name and with their images, or not at all: Unavailable says what is missing.
    containers.look_for_postgres()
    containers.look_for_rabbitmq()
    password = secrets.token_hex(8)
    postgres = await asyncio.to_thread(_postgres, password)
    rabbitmq = await asyncio.to_thread(_rabbitmq, password)
    try:
        found = _found(postgres, rabbitmq, password)
        await until(lambda: postgres_answers(found.postgres_url))
        await until(lambda: rabbitmq_answers(found.broker_url, _management_url(rabbitmq, password)))
        yield found
    finally:
        await asyncio.to_thread(_remove, [postgres, rabbitmq])


def _postgres(password: str) -> Container:
    command = ["postgres", *(word for name, value in POSTGRES_SETTINGS.items() for word in ("-c", f"{name}={value}"))]
    return _run(containers.POSTGRES_IMAGE, command, POSTGRES_PASSWORD=password)


def _rabbitmq(password: str) -> Container:
    return _run(
        containers.RABBITMQ_IMAGE,
        None,
        RABBITMQ_DEFAULT_USER="bench",
        RABBITMQ_DEFAULT_PASS=password,
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=ERLANG_FLAGS,
    )


def _run(image: str, command: Any, **environment: str) -> Container:
    client = containers.need_engine()
    # Whatever happens to this process, what carries the label is removed after it.
    labels = {LABEL: remains().session}
    return client.containers.run(image, command, environment=environment, labels=labels, shm_size="1g", detach=True)


def _found(postgres: Container, rabbitmq: Container, password: str) -> Servers:
    return Servers(
        postgres_url=f"postgresql://postgres:{password}@{_address(postgres)}:5432/postgres",
        postgres_pid=postgres.attrs["State"]["Pid"],
        broker_url=f"amqp://bench:{password}@{_address(rabbitmq)}:5672/",
        broker_pid=rabbitmq.attrs["State"]["Pid"],
        management=Management(_management_url(rabbitmq, password)),
        counters_url=f"http://{_address(rabbitmq)}:15692/metrics",
    )


def _address(container: Container) -> str:
    """On Docker's own network: a published port would put a proxy process, and its CPU, into every message."""
    container.reload()
    networks: dict[str, Any] = container.attrs["NetworkSettings"]["Networks"]
    return next(str(network["IPAddress"]) for network in networks.values() if network["IPAddress"])


def _management_url(rabbitmq: Container, password: str) -> str:
    return f"http://bench:{password}@{_address(rabbitmq)}:15672"


def _remove(running: Iterable[Container]) -> None:
    for container in running:
        container.remove(force=True, v=True)
