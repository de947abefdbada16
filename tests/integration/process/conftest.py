"""What lies between a process and its servers, and a client who talks to it by RabbitMQ."""

from collections.abc import AsyncIterator

import aio_pika
import pytest

from messages.transport.rabbitmq.topology import declare
from tests.conftest import NewVhost
from tests.integration.network import Network
from tests.integration.process.clients import Client
from tests.integration.toy.service import Toy
from tests.integration.toy.station import Station, everything


@pytest.fixture
async def network(station: Station) -> AsyncIterator[Network]:
    """Between the process and its database."""
    async with Network(station.url) as network:
        yield network


@pytest.fixture
async def client(new_vhost: NewVhost) -> AsyncIterator[Client]:
    url = await new_vhost()
    async with await aio_pika.connect(url) as connection:
        await declare(connection, everything(Toy()))
        client = Client(url, await connection.channel())

        async def hear(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            client.heard.append(message)

        queue = await client.channel.get_queue("outcomes.client", ensure=False)
        await queue.consume(hear, no_ack=True)
        yield client
