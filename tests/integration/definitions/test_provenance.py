"""What a client says by a detour is nobody's word, and what it lets expire is its own dead letter."""

from datetime import timedelta

import aio_pika
import pytest
from pamqp.common import FieldTable

from messages.transport.addresses import COMMANDS, REQUESTS
from messages.transport.provenance import Death, Provenance
from tests.integration.broker.carriers import Reader
from tests.integration.definitions.production import UrlOf, broker_at, channel_at

pytestmark = pytest.mark.rabbitmq


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
        assert (arrival.body, arrival.provenance) == (b"forged", Provenance.UNTRUSTED_ROUTE)


async def test_what_a_queue_of_a_client_says_in_its_place_is_nobodys_word(url_of: UrlOf) -> None:
    """Of whom a queue dead-letters for, RabbitMQ does not ask what keys they may use."""
    async with broker_at(url_of("store_worker")) as store, channel_at(url_of("customer")) as channel:
        goods = await Reader.of(store, "store_worker.reports")
        own = await channel.declare_exchange("outcomes.customer.evil", "fanout", durable=True)
        laundry: FieldTable = {
            "x-message-ttl": 0,
            "x-dead-letter-exchange": REQUESTS,
            "x-dead-letter-routing-key": "stock_received",
        }
        await (await channel.declare_queue("outcomes.customer.laundry", durable=True, arguments=laundry)).bind(own)
        await own.publish(aio_pika.Message(b"laundered"), "")
        (arrival,) = await goods.take(1)
        assert (arrival.body, arrival.provenance) == (b"laundered", Provenance.UNTRUSTED_ROUTE)


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
            assert (letter.provenance, letter.death) == (Provenance.CLIENT, Death("expired", REQUESTS))
