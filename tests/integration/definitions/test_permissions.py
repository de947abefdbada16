"""Nobody may say, take or declare what is not theirs."""

import aio_pika
import pytest
from aio_pika.exceptions import ChannelClosed

from messages.transport.addresses import ANSWERS, COMMANDS, OUTCOMES, REQUESTS
from tests.integration.definitions.production import UrlOf, channel_at

pytestmark = pytest.mark.rabbitmq


@pytest.mark.parametrize(
    ("user", "exchange", "key"),
    [
        ("customer", COMMANDS, "store_worker.settle"),
        ("supplier", COMMANDS, "store_worker.settle"),
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


async def test_other_keys_beside_the_one_that_is_permitted_are_refused(url_of: UrlOf) -> None:
    async with channel_at(url_of("customer")) as channel:
        requests = await channel.get_exchange(REQUESTS, ensure=False)
        with pytest.raises(ChannelClosed, match="ACCESS_REFUSED"):
            await requests.publish(aio_pika.Message(b"{}", headers={"CC": ["stock_received"]}), "order_requested")


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
