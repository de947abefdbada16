"""One running system for all commands, and a broker where nobody listens."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aio_pika
import pytest

from deploy.definitions import all_services
from messages.transport.rabbitmq.broker import RabbitBroker
from messages.transport.rabbitmq.topology import declare
from messages.transport.topology import topology_of
from tests.integration.command_line.brokers import SilentShop, vhost
from tests.integration.command_line.shell import Shell
from tests.integration.small_system import databases, running


@pytest.fixture(scope="package")
async def shell(postgres_url: str, amqp_url: str, management_url: str) -> AsyncIterator[Shell]:
    """A system that runs, with nothing on its shelves."""
    async with vhost(management_url) as name, databases(postgres_url) as urls:
        broker_url = urlsplit(amqp_url)._replace(path=f"/{name}").geturl()
        topology = topology_of(all_services())
        settings = {f"{service.upper()}_DATABASE_URL": url for service, url in urls.items()}
        async with running(urls, lambda: RabbitBroker(broker_url, topology=topology)):
            broker = RabbitBroker(broker_url)
            await broker.start()
            yield Shell(urls, name, settings | {"BROKER_URL": broker_url}, broker)
            await broker.close()


@pytest.fixture
async def silent_shop(management_url: str, amqp_url: str) -> AsyncIterator[SilentShop]:
    async with vhost(management_url) as name:
        url = urlsplit(amqp_url)._replace(path=f"/{name}").geturl()
        async with await aio_pika.connect(url) as connection:
            await declare(connection, topology_of(all_services()))
            yield SilentShop(url, connection)
