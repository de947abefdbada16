"""The production definitions in a real RabbitMQ: services declare nothing, reach everything, and may do no more."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import pytest
from aio_pika.exceptions import ChannelClosed
from click.testing import CliRunner
from pamqp.common import FieldTable

from deploy.definitions import all_services
from deploy.definitions import main as definitions_command
from messages.transport.addresses import ANSWERS, COMMANDS, OUTCOMES, REQUESTS, Address
from messages.transport.provenance import Death, Provenance
from messages.transport.rabbitmq.topology import declare
from messages.transport.topology import topology_of
from tests.conftest import NewVhost
from tests.integration.carriers import Reader, bodies, envelope, until
from tests.integration.production import UrlOf, broker_at, channel_at, imported, in_the_file, renamed, url_for
from tests.servers.management import Management

pytestmark = pytest.mark.rabbitmq


async def test_the_services_work_in_production_without_declaring_anything(url_of: UrlOf) -> None:
    for service in all_services():
        async with broker_at(url_of(service.name)) as broker:
            for queue in (service.priority_queue, service.new_work_queue, "dead"):
                await Reader.of(broker, f"{service.name}.{queue}")
            await until(lambda: broker.connected)


async def test_a_conversation_in_production_reaches_everybody(url_of: UrlOf) -> None:
    async with (
        broker_at(url_of("order_saga")) as saga,
        broker_at(url_of("store_worker")) as store,
        broker_at(url_of("customer"), "customer.1") as customer,
        broker_at(url_of("supplier"), "supplier.1") as supplier,
    ):
        orders, answers = await Reader.of(saga, "order_saga.orders"), await Reader.of(saga, "order_saga.answers")
        commands, goods = await Reader.of(store, "store_worker.reserve"), await Reader.of(store, "store_worker.settle")
        outcomes = await Reader.of(customer, "outcomes.customer.1")
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
        ("supplier", REQUESTS, "agent_came_online"),
        ("fleet", REQUESTS, "stock_received"),
        ("store_worker", OUTCOMES, "order_placed"),
        ("store_worker", COMMANDS, "delivery_worker.settle"),
        ("order_saga", ANSWERS, "order_saga.answers"),
        ("monitoring", REQUESTS, "order_requested"),
    ],
)
async def test_nobody_may_say_what_is_not_theirs_to_say(url_of: UrlOf, user: str, exchange: str, key: str) -> None:
    async with channel_at(url_of(user)) as channel:
        speaker = await channel.get_exchange(exchange, ensure=False)
        with pytest.raises(ChannelClosed, match="ACCESS_REFUSED"):
            await speaker.publish(aio_pika.Message(b"{}"), key)


@pytest.mark.parametrize("way", ["bound", "alternate"])
async def test_what_a_client_says_through_an_exchange_of_its_own_is_nobodys_word(url_of: UrlOf, way: str) -> None:
    """RabbitMQ lets it make one, and names the one that something was first said to."""
    async with broker_at(url_of("order_saga")) as saga, channel_at(url_of("customer")) as channel:
        answers = await Reader.of(saga, "order_saga.answers")
        arguments: FieldTable = {"alternate-exchange": REQUESTS} if way == "alternate" else {}
        evil = await channel.declare_exchange("outcomes.customer.evil", "fanout", durable=True, arguments=arguments)
        if way == "bound":
            await (await channel.get_underlay_channel()).exchange_bind(REQUESTS, "outcomes.customer.evil", "")
        await evil.publish(aio_pika.Message(b"forged"), "cancel_order")
        (arrival,) = await answers.take(1)
        assert (arrival.body, arrival.from_outside) == (b"forged", Provenance.UNTRUSTED_ROUTE)


async def test_what_a_queue_of_a_client_says_in_its_place_is_nobodys_word(url_of: UrlOf) -> None:
    """Of whom a queue dead-letters for, RabbitMQ does not ask what keys they may use."""
    async with broker_at(url_of("store_worker")) as store, channel_at(url_of("customer")) as channel:
        goods = await Reader.of(store, "store_worker.settle")
        own = await channel.declare_exchange("outcomes.customer.evil", "fanout", durable=True)
        laundry: FieldTable = {
            "x-message-ttl": 0,
            "x-dead-letter-exchange": REQUESTS,
            "x-dead-letter-routing-key": "stock_received",
        }
        await (await channel.declare_queue("outcomes.customer.laundry", durable=True, arguments=laundry)).bind(own)
        await own.publish(aio_pika.Message(b"laundered"), "")
        (arrival,) = await goods.take(1)
        assert (arrival.body, arrival.from_outside) == (b"laundered", Provenance.UNTRUSTED_ROUTE)


async def test_other_keys_beside_the_one_that_is_permitted_are_refused(url_of: UrlOf) -> None:
    async with channel_at(url_of("customer")) as channel:
        requests = await channel.get_exchange(REQUESTS, ensure=False)
        with pytest.raises(ChannelClosed, match="ACCESS_REFUSED"):
            await requests.publish(aio_pika.Message(b"{}", headers={"CC": ["stock_received"]}), "order_requested")


async def test_what_a_client_lets_expire_is_a_clients_dead_letter(url_of: UrlOf) -> None:
    """Also if it writes itself that it was ours, and that we failed at it."""
    ours: FieldTable = {"reason": "delivery_limit", "exchange": COMMANDS, "queue": "order_saga.answers", "count": 1}
    tables: list[FieldTable] = [{}, {"x-death": [ours]}]
    async with broker_at(url_of("order_saga")) as saga, channel_at(url_of("customer")) as channel:
        dead = await Reader.of(saga, "order_saga.dead")
        requests = await channel.get_exchange(REQUESTS, ensure=False)
        for headers in tables:
            message = aio_pika.Message(b"expired", expiration=timedelta(0), headers=headers)
            await requests.publish(message, "cancel_order")
            (letter,) = await dead.take(1)
            assert (letter.from_outside, letter.death) == (Provenance.CLIENT, Death("expired", REQUESTS))


@pytest.mark.parametrize(
    ("user", "queue"),
    [
        ("customer", "order_saga.orders"),
        ("store_worker", "order_saga.answers"),
        ("store_worker", "delivery_worker.reserve"),
        ("order_saga", "store_worker.reserve"),
        ("monitoring", "order_saga.orders"),
        ("customer", "outcomes.supplier.1"),
        ("supplier", "outcomes.customer.1"),
    ],
)
async def test_nobody_may_take_what_is_meant_for_others(url_of: UrlOf, user: str, queue: str) -> None:
    async with channel_at(url_of(user)) as channel:
        taken = await channel.get_queue(queue, ensure=False)
        with pytest.raises(ChannelClosed, match="ACCESS_REFUSED"):
            await taken.get(no_ack=True, fail=False)


@pytest.mark.parametrize("user", ["order_saga", "store_worker", "delivery_worker", "customer", "supplier", "fleet"])
async def test_nobody_may_declare_what_the_services_live_on(url_of: UrlOf, user: str) -> None:
    for name in ("order_saga.orders", "new", "outcomes.new", "outcomes.others.new"):
        async with channel_at(url_of(user)) as channel:
            with pytest.raises(ChannelClosed, match="ACCESS_REFUSED"):
                await channel.declare_queue(name, durable=True)


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
    meant = in_the_file()
    for kind in ("exchanges", "queues", "bindings"):
        assert _comparable(made[kind]) == _comparable(meant[kind]), kind


def _comparable(described: list[dict[str, Any]]) -> list[str]:
    unimportant = {"vhost", "internal", "properties_key"}
    return sorted(
        json.dumps({name: value for name, value in each.items() if name not in unimportant}, sort_keys=True)
        for each in described
    )
