"""A delivery worker on a database of its own."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from delivery_worker.service import service
from delivery_worker.settings import Settings
from tests.conftest import NewDatabase
from tests.integration.workers import Worker, wait_for_the_database_for_long


@pytest.fixture(autouse=True)
def _slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for_the_database_for_long(monkeypatch)


@pytest.fixture
async def delivery(new_database: NewDatabase) -> AsyncIterator[Worker]:
    built = service(Settings(database_url="postgresql://elsewhere/"))
    worker = await Worker.start(built, await new_database(*built.migrations))
    yield worker
    await worker.stop()


@pytest.fixture
def order() -> UUID:
    return uuid4()
