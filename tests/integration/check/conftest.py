"""Servers that are as they should be, and such as a test may change."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import pytest

from messages.transport.rabbitmq.topology import declare
from messages.transport.topology import topology_of
from tests.conftest import NewVhost
from tests.integration.check.checked import Checked
from tests.integration.toy.service import Toy
from tests.integration.toy.station import Station
from tests.servers.management import Management


@pytest.fixture(scope="package")
async def declared_url(amqp_url: str, management_url: str) -> AsyncIterator[str]:
    """A vhost with all that the toy needs, for tests that change nothing in it."""
    name = f"test-{uuid4().hex}"
    management = Management(management_url)
    await management.create_vhost(name)
    url = urlsplit(amqp_url)._replace(path=f"/{name}").geturl()
    await declare_all(url)
    yield url
    await management.delete_vhost(name)


@pytest.fixture
def checked(station: Station, declared_url: str, management_url: str) -> Checked:
    return Checked(station, declared_url, management_url)


@pytest.fixture
def own_database(own_station: Station, declared_url: str, management_url: str) -> Checked:
    """With a database that the test may change."""
    return Checked(own_station, declared_url, management_url)


@pytest.fixture
async def own_vhost(station: Station, new_vhost: NewVhost, management_url: str) -> Checked:
    """With a vhost that the test may change."""
    own = Checked(station, await new_vhost(), management_url)
    await declare_all(own.broker_url)
    return own


async def declare_all(broker_url: str) -> None:
    async with await aio_pika.connect(broker_url) as connection:
        await declare(connection, topology_of([Toy().service()]))
