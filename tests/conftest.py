"""The fixtures that give a test its server, database or virtual host, and the closing lines that tell which."""

import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeAlias, TypeVar
from urllib.parse import urlsplit

import asyncpg
import pytest

from messages.transport.migrating import migrate
from tests.servers import choice, containers
from tests.servers.management import Management
from tests.servers.remains import remains
from tests.servers.server import Broker, Server, Unavailable

S = TypeVar("S", bound=Server)
NewDatabase: TypeAlias = Callable[..., Awaitable[str]]
"""`url = await new_database(*migration_folders)`: migrated, the transport's own first; dropped afterwards."""
NewVhost: TypeAlias = Callable[[], Awaitable[str]]
"""`url = await new_vhost()`: empty; deleted afterwards."""

# Fixture -> the marker that its users get, so that `-m "not rabbitmq"` needs no care from whoever writes a test.
MARKERS = {"postgres": "postgres", "own_postgres": "postgres", "rabbitmq": "rabbitmq", "own_rabbitmq": "rabbitmq"}
MARKERS |= {"docker": "docker"}


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
async def own_rabbitmq() -> AsyncIterator[Broker]:
    """A RabbitMQ that this test may stop, kill and start again."""
    async with _running(choice.choose_rabbitmq(own=True)) as broker:
        yield broker


@pytest.fixture(scope="session")
def docker() -> None:
    """A Docker engine answers."""
    try:
        containers.need_engine()
    except Unavailable as reason:
        _unavailable(str(reason))


@pytest.fixture
async def new_database(postgres_url: str, _templates: dict[tuple[Path, ...], str]) -> AsyncIterator[NewDatabase]:
    made: list[str] = []
    connection = await asyncpg.connect(postgres_url)

    async def create(*folders: Path) -> str:
        if folders not in _templates:
            _templates[folders] = await _create_template(postgres_url, folders)
        made.append(f"test_{uuid.uuid4().hex}")
        await connection.execute(f"CREATE DATABASE {made[-1]} TEMPLATE {_templates[folders]}")
        return _of_database(postgres_url, made[-1])

    yield create
    for name in made:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture(scope="session")
async def _templates(postgres_url: str) -> AsyncIterator[dict[tuple[Path, ...], str]]:
    templates: dict[tuple[Path, ...], str] = {}
    yield templates
    connection = await asyncpg.connect(postgres_url)
    for name in templates.values():
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


async def _create_template(postgres_url: str, folders: tuple[Path, ...]) -> str:
    name = f"template_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    template = await asyncpg.connect(_of_database(postgres_url, name))
    await migrate(template, folders)
    await template.close()
    return name


def _of_database(url: str, database: str) -> str:
    return urlsplit(url)._replace(path=f"/{database}").geturl()


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
        _unavailable(chosen.told)
    server = chosen.make()
    try:
        await server.start()
        yield server
    finally:
        await server.remove()


def _unavailable(reason: str) -> NoReturn:
    if choice.REQUIRE_DOCKER:
        pytest.fail(f"REQUIRE_DOCKER is set: {reason}", pytrace=False)
    pytest.skip(reason)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "postgres: needs a PostgreSQL; comes from the fixtures")
    config.addinivalue_line("markers", "rabbitmq: needs a real RabbitMQ; comes from the fixtures")
    config.addinivalue_line("markers", "docker: needs a Docker engine; comes from the fixtures")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for name in MARKERS.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(MARKERS[name])


def pytest_collection_finish(session: pytest.Session) -> None:
    """Look for the servers now: what may have to be fetched first is not to be held against a test's time limit."""
    if session.config.option.collectonly:
        return
    needed = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    for fixture, (look, arguments) in LOOKS.items():
        if fixture in needed:
            look(**arguments)


LOOKS: dict[str, Any] = {
    "postgres": (choice.choose_postgres, {}),
    "rabbitmq": (choice.choose_rabbitmq, {}),
    "own_postgres": (choice.choose_postgres, {"own": True}),
    "own_rabbitmq": (choice.choose_rabbitmq, {"own": True}),
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which servers were used, and what was skipped for which reason."""
    terminalreporter.section("servers, and what was skipped")
    for name, look in (("PostgreSQL", choice.choose_postgres), ("RabbitMQ", choice.choose_rabbitmq)):
        if look.cache_info().currsize:
            terminalreporter.line(f"{name}: {look().told}")
    reports = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in reports)
    for reason, count in reasons.most_common() or [("nothing was skipped", 0)]:
        terminalreporter.line(f"{count} skipped: {reason}" if count else reason)


def pytest_sessionfinish() -> None:
    if remains.cache_info().currsize:
        remains().remove()
