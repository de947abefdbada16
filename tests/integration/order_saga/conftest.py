"""The order saga's database."""

import random
from collections.abc import AsyncIterator

import pytest

from messages.transport.database.postgres import Database
from tests.conftest import NewDatabase
from tests.integration.order_saga.orders import MIGRATIONS
from tests.integration.workers import wait_for_the_database_for_long


@pytest.fixture(autouse=True)
def _slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for_the_database_for_long(monkeypatch)


@pytest.fixture
async def database_url(new_database: NewDatabase) -> str:
    return await new_database(MIGRATIONS)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def longest_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """No repeat is due again at once because chance has it so."""
    monkeypatch.setattr(random, "random", lambda: 1.0)
