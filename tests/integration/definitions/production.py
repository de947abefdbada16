"""Definitions in a real RabbitMQ, under names that no other test has, and whoever connects to it."""

import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import aio_pika
from aio_pika.abc import AbstractChannel

from deploy.definitions import VHOST
from deploy.passwords import DEVELOPMENT_PASSWORD
from messages.transport.rabbitmq.broker import RabbitBroker
from messages.transport.topology import listener
from tests.integration.broker.carriers import PATIENCE_SECONDS
from tests.servers.management import Management

FILE = Path(__file__).parents[3] / "deploy" / "definitions.json"
UrlOf: TypeAlias = Callable[[str], str]


def in_the_file() -> Any:
    return json.loads(FILE.read_text())


@asynccontextmanager
async def imported(definitions: Any, management_url: str) -> AsyncIterator[str]:
    """What is added to all names: after a dot, so that what begins with `outcomes.customer.` stays a customer's."""
    management = Management(management_url)
    unique = f".{uuid.uuid4().hex[:8]}"
    mine = renamed(definitions, unique)
    await management.call("POST", "definitions", mine)
    try:
        yield unique
    finally:
        await management.delete_vhost(mine["vhosts"][0]["name"])
        await management.call("POST", "users/bulk-delete", {"users": [user["name"] for user in mine["users"]]})


def renamed(definitions: Any, unique: str) -> Any:
    for each in (*definitions.get("users", []), *definitions["vhosts"]):
        each["name"] += unique
    of_the_vhost = ("parameters", "permissions", "topic_permissions", "policies", "exchanges", "queues", "bindings")
    for each in (each for kind in of_the_vhost for each in definitions[kind]):
        each["vhost"] += unique
        if "user" in each:
            each["user"] += unique
    return definitions


def url_for(user: str, amqp_url: str, unique: str, password: str = DEVELOPMENT_PASSWORD) -> str:
    parts = urlsplit(amqp_url)
    host = f"{user}{unique}:{password}@{parts.hostname}:{parts.port}"
    return parts._replace(netloc=host, path=f"/{VHOST}{unique}").geturl()


@asynccontextmanager
async def broker_at(url: str, listens_as: str | None = None) -> AsyncIterator[RabbitBroker]:
    topology = listener(listens_as) if listens_as else None
    broker = RabbitBroker(url, topology=topology, publish_timeout_seconds=PATIENCE_SECONDS)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.close()


@asynccontextmanager
async def channel_at(url: str) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(url) as connection:
        yield await connection.channel()
