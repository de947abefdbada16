"""The services work in production without declaring anything, and reach everybody."""

import pytest

from deploy.definitions import all_services
from messages.transport.addresses import ANSWERS, COMMANDS, OUTCOMES, REQUESTS, Address
from tests.integration.broker.carriers import Reader, bodies, envelope, until
from tests.integration.definitions.production import UrlOf, broker_at

pytestmark = pytest.mark.rabbitmq


async def test_the_services_work_in_production_without_declaring_anything(url_of: UrlOf) -> None:
    for service in all_services():
        async with broker_at(url_of(service.name)) as broker:
            for queue in (*service.queues, "dead"):
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
        commands, goods = await Reader.of(store, "store_worker.reserve"), await Reader.of(store, "store_worker.reports")
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
