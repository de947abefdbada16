"""The toy's database, opened as a service opens it."""

from collections.abc import AsyncIterator

import pytest

from messages.transport.database.postgres import Database
from tests.integration.toy.station import Station


@pytest.fixture
async def database(station: Station) -> AsyncIterator[Database]:
    database = Database(station.url)
    await database.open()
    yield database
    await database.close()
