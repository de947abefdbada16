"""The toy's fixtures: one database for all its tests, emptied before each, and readable logs beside a failure."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest
import structlog

from messages.transport.daemon import housekeeping
from messages.transport.database.migrating import migrate
from tests.conftest import NewDatabase
from tests.integration.toy.service import MIGRATIONS
from tests.integration.toy.station import Station


@pytest.fixture(scope="session", autouse=True)
def _plain_logs() -> None:
    """The default draws each trace with all its values, which takes longer than what is being tested."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ]
    )


@pytest.fixture(autouse=True)
def _quick_housekeeping(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done once a second is done more often, where a test of the toy waits for it."""
    if {"station", "own_station"} & set(request.fixturenames):
        for name in ("REPLAY_SECONDS", "CONFIRMED_SECONDS"):
            monkeypatch.setattr(housekeeping, name, 0.1)


@pytest.fixture(scope="session")
async def toy_url(postgres_url: str) -> AsyncIterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(f"CREATE DATABASE {name}")
    url = urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
    migrating = await asyncpg.connect(url)
    await migrate(migrating, [MIGRATIONS])
    await migrating.close()
    yield url
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture(autouse=True)
async def _no_task_is_left_behind(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    if {"station", "own_station"} & set(request.fixturenames):
        assert not [task for task in asyncio.all_tasks() - before if "messages/transport" in repr(task)]


@pytest.fixture
async def station(toy_url: str) -> AsyncIterator[Station]:
    """A station on an empty database."""
    station = await Station.open(toy_url)
    # A test that failed may have left a transaction open.
    await station.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    await station.rows("TRUNCATE purchase, heard, outbox, parked, timeline")
    yield station
    await station.close()


@pytest.fixture
async def own_station(new_database: NewDatabase) -> AsyncIterator[Station]:
    """A station on a database whose schema and settings the test may change."""
    station = await Station.open(await new_database(MIGRATIONS))
    yield station
    await station.close()
