"""A store worker on a database of its own."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from store_worker.service import service
from store_worker.settings import Settings
from tests.conftest import NewDatabase
from tests.integration.workers import Worker, wait_for_the_database_for_long

SETTINGS = Settings(database_url="postgresql://elsewhere/", best_before_margin_seconds=3_600)


@pytest.fixture(autouse=True)
def _slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for_the_database_for_long(monkeypatch)


@pytest.fixture
async def url(new_database: NewDatabase) -> str:
    return await new_database(*service(SETTINGS).migrations)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Worker]:
    worker = await Worker.start(service(SETTINGS), url)
    yield worker
    await worker.stop()


@pytest.fixture
def order() -> UUID:
    return uuid4()
