"""The definitions file, imported into a real RabbitMQ."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.definitions.production import UrlOf, imported, in_the_file, url_for


@pytest.fixture
async def url_of(amqp_url: str, management_url: str) -> AsyncIterator[UrlOf]:
    """The definitions file, imported: `url_of("customer")`."""
    async with imported(in_the_file(), management_url) as unique:
        yield lambda user: url_for(user, amqp_url, unique)
