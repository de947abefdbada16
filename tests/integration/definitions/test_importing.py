"""The definitions file says what development declares, and can be imported again into a running broker."""

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import pytest
from click.testing import CliRunner

from deploy.definitions import all_services
from deploy.definitions import main as definitions_command
from messages.transport.addresses import REQUESTS
from messages.transport.rabbitmq.topology import declare
from messages.transport.topology import topology_of
from tests.conftest import NewVhost
from tests.integration.broker.carriers import Reader, bodies
from tests.integration.definitions.production import broker_at, channel_at, imported, in_the_file, renamed, url_for
from tests.servers.management import Management

pytestmark = pytest.mark.rabbitmq


async def test_what_is_imported_into_a_running_broker_brings_what_is_new_and_changes_no_password(
    amqp_url: str, management_url: str, tmp_path: Path
) -> None:
    passwords = tmp_path / "passwords.json"
    passwords.write_text(json.dumps({user["name"]: "secret" for user in in_the_file()["users"]}))
    before = _written("--passwords", str(passwords))
    for kind, name in (("queues", "name"), ("bindings", "destination")):
        before[kind] = [each for each in before[kind] if each[name] != "order_saga.orders"]
    before["permissions"] = [each for each in before["permissions"] if each["user"] != "order_saga"]
    async with imported(before, management_url) as unique:
        after = renamed(_written("--keep-passwords"), unique)
        for _ in range(2):
            await Management(management_url).call("POST", "definitions", after)
        saga, customer = (url_for(user, amqp_url, unique, "secret") for user in ("order_saga", "customer"))
        async with broker_at(saga) as broker, channel_at(customer) as channel:
            orders = await Reader.of(broker, "order_saga.orders")
            requests = await channel.get_exchange(REQUESTS, ensure=False)
            await requests.publish(aio_pika.Message(b"order"), "order_requested")
            assert bodies(await orders.take(1)) == ["order"]


async def test_declaring_for_development_makes_what_the_definitions_file_says(
    new_vhost: NewVhost, management_url: str
) -> None:
    url = await new_vhost()
    async with await aio_pika.connect(url) as connection:
        await asyncio.gather(*(declare(connection, topology_of([service])) for service in all_services()))
        await declare(connection, topology_of(all_services()))
    vhost = urlsplit(url).path[1:]
    made = await Management(management_url).call("GET", f"definitions/{vhost}")
    meant = in_the_file()
    for kind in ("exchanges", "queues", "bindings"):
        assert _comparable(kind, made) == _comparable(kind, meant), kind


def _written(*arguments: str) -> Any:
    return json.loads(CliRunner().invoke(definitions_command, arguments).output)


def _comparable(kind: str, definitions: dict[str, list[dict[str, Any]]]) -> list[str]:
    unimportant = {"vhost", "internal", "properties_key"}
    if kind == "queues":
        unimportant |= {"type"}  # RabbitMQ 4.3 exports it here too; it is an argument
    return sorted(
        json.dumps({name: value for name, value in each.items() if name not in unimportant}, sort_keys=True)
        for each in definitions[kind]
    )
