"""Two daemons of one worker on one database."""

from collections.abc import AsyncIterator
from functools import partial
from uuid import UUID, uuid4

import pytest

import delivery_worker.service
import delivery_worker.settings
from store_worker.service import service
from store_worker.settings import Settings
from tests.conftest import NewDatabase
from tests.integration.races.twins import LetPass, Twins
from tests.integration.skewing import make_clock_movable, put_clock_forward
from tests.integration.workers import Worker, trust_the_clock_for_long, wait_for_the_database_for_long

SETTINGS = Settings(database_url="postgresql://elsewhere/")


@pytest.fixture(autouse=True)
def _slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    trust_the_clock_for_long(monkeypatch)
    wait_for_the_database_for_long(monkeypatch)


@pytest.fixture
async def url(new_database: NewDatabase) -> str:
    return await new_database(*service(SETTINGS).migrations)


@pytest.fixture
async def let_pass(url: str) -> LetPass:
    """Lets so many seconds pass in the twins' database, for whoever connects later: ask for it before `twins`."""
    await make_clock_movable(url)
    return partial(put_clock_forward, url)


@pytest.fixture
async def twins(url: str) -> AsyncIterator[Twins]:
    """Two daemons on one database."""
    workers = await Worker.start(service(SETTINGS), url), await Worker.start(service(SETTINGS), url)
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
