"""The definitions file, imported into a real RabbitMQ."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.definitions.production import UrlOf, imported, in_the_file, url_for
from tests.servers.management import Management

OLDEST = (4, 0)
"""RabbitMQ 3.10 refuses policies for one kind of queue."""


@pytest.fixture(autouse=True)
async def _new_enough(management_url: str) -> None:
    version = await Management(management_url).version()
    if version < OLDEST:
        pytest.skip(f"the definitions file needs RabbitMQ {OLDEST[0]}, and this is {version[0]}.{version[1]}")


@pytest.fixture
async def url_of(amqp_url: str, management_url: str) -> AsyncIterator[UrlOf]:
    """The definitions file, imported: `url_of("customer")`."""
    async with imported(in_the_file(), management_url) as unique:
        yield lambda user: url_for(user, amqp_url, unique)
