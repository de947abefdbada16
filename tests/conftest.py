"""The fixtures that give a test its server, database or virtual host."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias, TypeVar
from urllib.parse import urlsplit

import asyncpg
import pytest
from hypothesis import settings

from tests.servers import choice, containers
from tests.servers.databases import copy, create_migrated, drop, of_database
from tests.servers.management import Management
from tests.servers.replicated import Replicated, replicated
from tests.servers.server import Broker, Server, Unavailable

S = TypeVar("S", bound=Server)
NewDatabase: TypeAlias = Callable[..., Awaitable[str]]
"""`url = await new_database(*migration_folders)`: migrated, the transport's own first; dropped afterwards."""
NewVhost: TypeAlias = Callable[[], Awaitable[str]]
"""`url = await new_vhost()`: empty; deleted afterwards."""

pytest_plugins = ["tests.servers.reporting"]

# A machine that is busy with other things is slow and not wrong. The same tree always tries the same examples: whoever
# changes something else is not to be stopped by a new one. `--hypothesis-profile=search` looks for new ones.
settings.register_profile("tests", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, print_blob=True, max_examples=5_000)
settings.load_profile("tests")


@pytest.fixture(scope="session")
async def postgres() -> AsyncIterator[Server]:
    """The PostgreSQL that all tests share. Nobody stops it."""
    async with _running(choice.choose_postgres()) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres: Server) -> str:
    """A superuser's URL."""
    return postgres.url


@pytest.fixture(scope="session")
async def rabbitmq() -> AsyncIterator[Broker]:
    """The RabbitMQ that all tests share. Nobody stops it."""
    async with _running(choice.choose_rabbitmq()) as broker:
        yield broker


@pytest.fixture(scope="session")
def amqp_url(rabbitmq: Broker) -> str:
    """An administrator's URL."""
    return rabbitmq.url


@pytest.fixture(scope="session")
def management_url(rabbitmq: Broker) -> str:
    """An administrator's URL of RabbitMQ's HTTP API."""
    return rabbitmq.management_url


@pytest.fixture
async def own_postgres() -> AsyncIterator[Server]:
    """A PostgreSQL that this test may stop, kill and start again."""
    async with _running(choice.choose_postgres(own=True)) as server:
        yield server


@pytest.fixture
async def own_replicated(own_postgres: Server) -> AsyncIterator[Replicated]:
    """A primary that this test may lose, and its synchronous standby."""
    async with replicated(own_postgres) as servers:
        yield servers


@pytest.fixture
async def own_rabbitmq() -> AsyncIterator[Broker]:
    """A RabbitMQ that this test may stop, kill and start again."""
    async with _running(choice.choose_rabbitmq(own=True)) as broker:
        yield broker


@pytest.fixture(scope="session")
def docker() -> None:
    """A Docker engine answers."""
    try:
        containers.need_engine().close()
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
async def new_database(postgres_url: str, _templates: dict[tuple[Path, ...], str]) -> AsyncIterator[NewDatabase]:
    made: list[str] = []
    connection = await asyncpg.connect(postgres_url)

    async def create(*folders: Path) -> str:
        if folders not in _templates:
            _templates[folders] = await create_migrated(postgres_url, folders)
        made.append(f"test_{uuid.uuid4().hex}")
        await copy(connection, _templates[folders], made[-1])
        return of_database(postgres_url, made[-1])

    yield create
    for name in made:
        await drop(connection, name)
    await connection.close()


@pytest.fixture(scope="session")
async def _templates(postgres_url: str) -> AsyncIterator[dict[tuple[Path, ...], str]]:
    templates: dict[tuple[Path, ...], str] = {}
    yield templates
    connection = await asyncpg.connect(postgres_url)
    for name in templates.values():
        await drop(connection, name)
    await connection.close()


@pytest.fixture
async def new_vhost(amqp_url: str, management_url: str) -> AsyncIterator[NewVhost]:
    management = Management(management_url)
    made: list[str] = []

    async def create() -> str:
        made.append(f"test-{uuid.uuid4().hex}")
        await management.create_vhost(made[-1])
        return urlsplit(amqp_url)._replace(path=f"/{made[-1]}").geturl()

    yield create
    for name in made:
        await management.delete_vhost(name)


@asynccontextmanager
async def _running(chosen: choice.Choice[S]) -> AsyncIterator[S]:
    if not chosen.make:
        pytest.skip(chosen.told)
    server = chosen.make()
    try:
        await server.start()
        yield server
    finally:
        await server.remove()
