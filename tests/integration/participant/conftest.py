"""A store worker on a database of its own."""

from collections.abc import AsyncIterator

import pytest

from store_worker.service import service
from store_worker.settings import Settings
from tests.conftest import NewDatabase
from tests.integration.participant.reservations import a_worker
from tests.integration.workers import Worker, wait_for_the_database_for_long


@pytest.fixture(autouse=True)
def _slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for_the_database_for_long(monkeypatch)


@pytest.fixture
async def url(new_database: NewDatabase) -> str:
    return await new_database(*service(Settings(database_url="postgresql://elsewhere/")).migrations)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Worker]:
    worker = await a_worker(url)
    yield worker
    await worker.stop()
