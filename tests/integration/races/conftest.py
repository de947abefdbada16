"""Two daemons of one worker on one database."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

import delivery_worker.service
import delivery_worker.settings
from store_worker.service import service
from store_worker.settings import Settings
from tests.conftest import NewDatabase
from tests.integration.races.twins import Twins
from tests.integration.workers import Worker, trust_the_clock_for_long, wait_for_the_database_for_long


@pytest.fixture(autouse=True)
def _slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    trust_the_clock_for_long(monkeypatch)
    wait_for_the_database_for_long(monkeypatch)


@pytest.fixture
async def twins(new_database: NewDatabase) -> AsyncIterator[Twins]:
    """Two daemons on one database."""
    settings = Settings(database_url="postgresql://elsewhere/")
    url = await new_database(*service(settings).migrations)
    workers = await Worker.start(service(settings), url), await Worker.start(service(settings), url)
    yield workers
    for worker in workers:
        await worker.stop()


@pytest.fixture
async def delivery_twins(new_database: NewDatabase) -> AsyncIterator[Twins]:
    settings = delivery_worker.settings.Settings(database_url="postgresql://elsewhere/")
    build = delivery_worker.service.service
    url = await new_database(*build(settings).migrations)
    workers = await Worker.start(build(settings), url), await Worker.start(build(settings), url)
    yield workers
    for worker in workers:
        await worker.stop()


@pytest.fixture
def order() -> UUID:
    return uuid4()
