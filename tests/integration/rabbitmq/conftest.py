"""A broker and its network, which leads to a virtual host of its own."""

from collections.abc import AsyncIterator

import pytest

from messages.transport.rabbitmq.broker import RabbitBroker
from tests.conftest import NewVhost
from tests.integration.broker.carriers import TOPOLOGY, Reader, until
from tests.integration.network import Network
from tests.integration.rabbitmq.probing import TIMEOUT_SECONDS


@pytest.fixture
async def network(new_vhost: NewVhost) -> AsyncIterator[Network]:
    async with Network(await new_vhost()) as network:
        yield network


@pytest.fixture
async def broker(network: Network) -> AsyncIterator[RabbitBroker]:
    broker = RabbitBroker(network.url, topology=TOPOLOGY, publish_timeout_seconds=TIMEOUT_SECONDS)
    await broker.start()
    await Reader.of(broker, "other")
    await until(lambda: broker.connected)
    yield broker
    await broker.close()
