"""The production definitions in a real RabbitMQ: services declare nothing, reach everything, and may do no more."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelClosed
from click.testing import CliRunner
from pamqp.common import FieldTable

from deploy.definitions import VHOST, all_services
from deploy.definitions import main as definitions_command
from deploy.passwords import DEVELOPMENT_PASSWORD
from messages.transport.addresses import ANSWERS, COMMANDS, OUTCOMES, REQUESTS, Address
from messages.transport.rabbitmq.broker import RabbitBroker
from messages.transport.rabbitmq.topology import declare
from messages.transport.senders import Death, Outside
from messages.transport.topology import listener, topology_of
from tests.conftest import NewVhost
from tests.integration.carriers import Reader, bodies, envelope, until
from tests.servers.management import Management

pytestmark = pytest.mark.rabbitmq

FILE = Path(__file__).parents[2] / "deploy" / "definitions.json"
UrlOf: TypeAlias = Callable[[str], str]


@pytest.fixture
async def url_of(amqp_url: str, management_url: str) -> AsyncIterator[UrlOf]:
    """The definitions file, imported under names that no other test has: `url_of("customer")`."""
    async with _imported(json.loads(FILE.read_text()), management_url) as unique:
        yield lambda user: _url(amqp_url, unique, user, DEVELOPMENT_PASSWORD)


@asynccontextmanager
async def _imported(definitions: Any, management_url: str) -> AsyncIterator[str]:
    """What is added to all names."""
    management = Management(management_url)
    unique = f"-{uuid.uuid4().hex[:8]}"
    mine = _renamed(definitions, unique)
    await management.call("POST", "definitions", mine)
    try:
        yield unique
    finally:
        await management.delete_vhost(mine["vhosts"][0]["name"])
        await management.call("POST", "users/bulk-delete", {"users": [user["name"] for user in mine["users"]]})


def _url(amqp_url: str, unique: str, user: str, password: str) -> str:
    parts = urlsplit(amqp_url)
    host = f"{user}{unique}:{password}@{parts.hostname}:{parts.port}"
    return parts._replace(netloc=host, path=f"/{VHOST}{unique}").geturl()


def _renamed(definitions: Any, unique: str) -> Any:
    for user in definitions.get("users", []):
        user["name"] += unique
    for vhost in definitions["vhosts"]:
        vhost["name"] += unique
    for kind in ("permissions", "topic_permissions", "policies", "exchanges", "queues", "bindings"):
        for each in definitions[kind]:
            each["vhost"] += unique
            if "user" in each:
                each["user"] += unique
    return definitions


async def test_the_services_work_in_production_without_declaring_anything(url_of: UrlOf) -> None:
    for service in all_services():
        async with _broker(url_of(service.name)) as broker:
            for queue in (service.first, service.intake, "dead"):
                await Reader.of(broker, f"{service.name}.{queue}")
            await until(lambda: broker.connected)


async def test_a_conversation_in_production_reaches_everybody(url_of: UrlOf) -> None:
    async with (
        _broker(url_of("order_saga")) as saga,
        _broker(url_of("store_worker")) as store,
        _broker(url_of("customer"), "customer") as customer,
        _broker(url_of("supplier"), "supplier") as supplier,
    ):
        orders, answers = await Reader.of(saga, "order_saga.orders"), await Reader.of(saga, "order_saga.answers")
        commands, goods = await Reader.of(store, "store_worker.reserve"), await Reader.of(store, "store_worker.settle")
        outcomes = await Reader.of(customer, "outcomes.customer")
        await until(lambda: saga.connected and store.connected and customer.connected)
        for broker, said, heard in (
            (customer, Address(REQUESTS, "order_requested"), orders),
            (customer, Address(REQUESTS, "cancel_order"), answers),
            (supplier, Address(REQUESTS, "stock_received"), goods),
            (saga, Address(COMMANDS, "store_worker.reserve"), commands),
            (store, Address(ANSWERS, "order_saga.answers"), answers),
            (saga, Address(OUTCOMES, "order_placed"), outcomes),
        ):
            document = envelope(to=said)
            assert await broker.publish([document]) == [True], said
            assert bodies(await heard.take(1)) == [document.body.decode()]


@pytest.mark.parametrize(
    ("user", "exchange", "key"),
    [
        ("customer", COMMANDS, "store_worker.settle"),
        ("customer", ANSWERS, "order_saga.answers"),
        ("customer", OUTCOMES, "order_placed"),
        ("customer", REQUESTS, "stock_received"),
        ("customer", "", "order_saga.orders"),
        ("supplier", REQUESTS, "order_requested"),
        ("store_worker", OUTCOMES, "order_placed"),
        ("store_worker", COMMANDS, "delivery_worker.settle"),
        ("order_saga", ANSWERS, "order_saga.answers"),
        ("monitoring", REQUESTS, "order_requested"),
    ],
)
async def test_nobody_may_say_what_is_not_theirs_to_say(url_of: UrlOf, user: str, exchange: str, key: str) -> None:
    async with _channel(url_of(user)) as channel:
        speaker = await channel.get_exchange(exchange, ensure=False)
        with pytest.raises(ChannelClosed, match="ACCESS_REFUSED"):
            await speaker.publish(aio_pika.Message(b"{}"), key)


@pytest.mark.parametrize("way", ["bound", "alternate"])
async def test_what_a_client_says_through_an_exchange_of_its_own_is_nobodys_word(url_of: UrlOf, way: str) -> None:
    """RabbitMQ lets it make one, and names the one that something was first said to."""
    async with _broker(url_of("order_saga")) as saga, _channel(url_of("customer")) as channel:
        answers = await Reader.of(saga, "order_saga.answers")
        arguments: FieldTable = {"alternate-exchange": REQUESTS} if way == "alternate" else {}
        evil = await channel.declare_exchange("outcomes.evil", "fanout", durable=True, arguments=arguments)
        if way == "bound":
            await (await channel.get_underlay_channel()).exchange_bind(REQUESTS, "outcomes.evil", "")
        await evil.publish(aio_pika.Message(b"forged"), "cancel_order")
        (arrival,) = await answers.take(1)
        assert (arrival.body, arrival.from_outside) == (b"forged", Outside.BY_A_DETOUR)


async def test_what_a_queue_of_a_client_says_in_its_place_is_nobodys_word(url_of: UrlOf) -> None:
    """Of whom a queue dead-letters for, RabbitMQ does not ask what keys they may use."""
    async with _broker(url_of("store_worker")) as store, _channel(url_of("customer")) as channel:
        goods = await Reader.of(store, "store_worker.settle")
        own = await channel.declare_exchange("outcomes.evil", "fanout", durable=True)
        laundry: FieldTable = {
            "x-message-ttl": 0,
            "x-dead-letter-exchange": REQUESTS,
            "x-dead-letter-routing-key": "stock_received",
        }
        await (await channel.declare_queue("outcomes.laundry", durable=True, arguments=laundry)).bind(own)
        await own.publish(aio_pika.Message(b"laundered"), "")
        (arrival,) = await goods.take(1)
        assert (arrival.body, arrival.from_outside) == (b"laundered", Outside.BY_A_DETOUR)


async def test_other_keys_beside_the_one_that_is_permitted_are_refused(url_of: UrlOf) -> None:
    async with _channel(url_of("customer")) as channel:
        requests = await channel.get_exchange(REQUESTS, ensure=False)
        with pytest.raises(ChannelClosed, match="ACCESS_REFUSED"):
            await requests.publish(aio_pika.Message(b"{}", headers={"CC": ["stock_received"]}), "order_requested")


async def test_what_a_client_lets_expire_is_a_clients_dead_letter(url_of: UrlOf) -> None:
    """Also if it writes itself that it was ours, and that we failed at it."""
    ours: FieldTable = {"reason": "delivery_limit", "exchange": COMMANDS, "queue": "order_saga.answers", "count": 1}
    tables: list[FieldTable] = [{}, {"x-death": [ours]}]
    async with _broker(url_of("order_saga")) as saga, _channel(url_of("customer")) as channel:
        dead = await Reader.of(saga, "order_saga.dead")
        requests = await channel.get_exchange(REQUESTS, ensure=False)
        for headers in tables:
            message = aio_pika.Message(b"expired", expiration=timedelta(0), headers=headers)
            await requests.publish(message, "cancel_order")
            (letter,) = await dead.take(1)
            assert (letter.from_outside, letter.death) == (Outside.YES, Death("expired", REQUESTS))


@pytest.mark.parametrize(
    ("user", "queue"),
    [
        ("customer", "order_saga.orders"),
        ("store_worker", "order_saga.answers"),
        ("store_worker", "delivery_worker.reserve"),
        ("order_saga", "store_worker.reserve"),
        ("monitoring", "order_saga.orders"),
    ],
)
async def test_nobody_may_take_what_is_meant_for_others(url_of: UrlOf, user: str, queue: str) -> None:
    async with _channel(url_of(user)) as channel:
        taken = await channel.get_queue(queue, ensure=False)
        with pytest.raises(ChannelClosed, match="ACCESS_REFUSED"):
            await taken.get(no_ack=True, fail=False)


@pytest.mark.parametrize("user", ["order_saga", "store_worker", "delivery_worker", "customer", "supplier"])
async def test_nobody_may_declare_what_the_services_live_on(url_of: UrlOf, user: str) -> None:
    for name in ("order_saga.orders", "new"):
        async with _channel(url_of(user)) as channel:
            with pytest.raises(ChannelClosed, match="ACCESS_REFUSED"):
                await channel.declare_queue(name, durable=True)


async def test_what_is_imported_into_a_running_broker_brings_what_is_new_and_changes_no_password(
    amqp_url: str, management_url: str, tmp_path: Path
) -> None:
    passwords = tmp_path / "passwords.json"
    passwords.write_text(json.dumps({user["name"]: "secret" for user in json.loads(FILE.read_text())["users"]}))
    before = _written("--passwords", str(passwords))
    for kind, name in (("queues", "name"), ("bindings", "destination")):
        before[kind] = [each for each in before[kind] if each[name] != "order_saga.orders"]
    before["permissions"] = [each for each in before["permissions"] if each["user"] != "order_saga"]
    async with _imported(before, management_url) as unique:
        after = _renamed(_written("--keep-passwords"), unique)
        for _ in range(2):
            await Management(management_url).call("POST", "definitions", after)
        saga, customer = (_url(amqp_url, unique, user, "secret") for user in ("order_saga", "customer"))
        async with _broker(saga) as broker, _channel(customer) as channel:
            orders = await Reader.of(broker, "order_saga.orders")
            requests = await channel.get_exchange(REQUESTS, ensure=False)
            await requests.publish(aio_pika.Message(b"order"), "order_requested")
            assert bodies(await orders.take(1)) == ["order"]


def _written(*arguments: str) -> Any:
    return json.loads(CliRunner().invoke(definitions_command, arguments).output)


async def test_declaring_for_development_makes_what_the_definitions_file_says(
    new_vhost: NewVhost, management_url: str
) -> None:
    url = await new_vhost()
    async with await aio_pika.connect(url) as connection:
        await asyncio.gather(*(declare(connection, topology_of([service])) for service in all_services()))
        await declare(connection, topology_of(all_services()))
    vhost = urlsplit(url).path[1:]
    made = await Management(management_url).call("GET", f"definitions/{vhost}")
    meant = json.loads(FILE.read_text())
    for kind in ("exchanges", "queues", "bindings"):
        assert _comparable(made[kind]) == _comparable(meant[kind]), kind


def _comparable(described: list[dict[str, Any]]) -> list[str]:
    unimportant = {"vhost", "internal", "properties_key"}
    return sorted(
        json.dumps({name: value for name, value in each.items() if name not in unimportant}, sort_keys=True)
        for each in described
    )


@asynccontextmanager
async def _broker(url: str, listens_as: str | None = None) -> AsyncIterator[RabbitBroker]:
    broker = RabbitBroker(url, topology=listener(listens_as) if listens_as else None)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.close()


@asynccontextmanager
async def _channel(url: str) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(url) as connection:
        yield await connection.channel()
