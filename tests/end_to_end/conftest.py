"""Fixtures for cells. Whatever a test does to a cell, it must come to rest afterwards and be consistent."""

import os
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.end_to_end.cell import Cell, Servers, cell
from tests.end_to_end.verdict import judge
from tests.servers import containers
from tests.servers.cluster import RabbitMQCluster
from tests.servers.server import Unavailable

NewCell: TypeAlias = Callable[..., Awaitable[Cell]]
"""`cell = await new_cell(of_each=2, ORDER_SAGA_BUDGET_SECONDS="3")`."""

FAILED = pytest.StashKey[bool]()
CELLS = pytest.StashKey[list[Cell]]()


@pytest.fixture(autouse=True)
def _seed(request: pytest.FixtureRequest) -> None:
    """What is done when, and to whom, can be tried again with the seed that a failure is reported with."""
    seed = os.environ.get("TEST_SEED") or str(random.SystemRandom().getrandbits(32))
    random.seed(seed)
    request.node.add_report_section("call", "seed", f"TEST_SEED={seed}")


@pytest.fixture(scope="session")
def shared_servers(postgres_url: str, amqp_url: str, management_url: str) -> Servers:
    return Servers(postgres_url, amqp_url, management_url)


@pytest.fixture(scope="session")
async def _shop(shared_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cell]:
    async with cell(shared_servers, tmp_path_factory.mktemp("shop")) as made:
        yield made


@pytest.fixture
async def shop(_shop: Cell, request: pytest.FixtureRequest) -> AsyncIterator[Cell]:
    """A cell that tests share: what it has in daemons and markets must be as good as new afterwards."""
    request.node.stash[CELLS] = [_shop]
    yield _shop
    assert all(daemon.running for daemon in _shop.daemons)
    await _judge(_shop, request)


@pytest.fixture
async def new_cell(shared_servers: Servers, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[NewCell]:
    """Cells of the test's own. Who brings servers of its own asks for them first, or they would be gone too early."""
    cells = request.node.stash[CELLS] = []
    async with AsyncExitStack() as stack:

        async def make(servers: Servers = shared_servers, **arguments: Any) -> Cell:
            folder = tmp_path / uuid.uuid4().hex[:8]
            folder.mkdir()
            cells.append(await stack.enter_async_context(cell(servers, folder, **arguments)))
            return cells[-1]

        yield make
        for made in cells:
            await _judge(made, request)


@pytest.fixture
async def rabbitmq_cluster() -> AsyncIterator[RabbitMQCluster]:
    """Three RabbitMQ nodes, which this test may stop, kill and start again."""
    try:
        containers.look_for_rabbitmq()
    except Unavailable as reason:
        pytest.skip(str(reason))
    async with RabbitMQCluster() as cluster:
        yield cluster


async def _judge(made: Cell, request: pytest.FixtureRequest) -> None:
    if not request.node.stash.get(FAILED, False):
        await judge(made)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
        for each in item.stash.get(CELLS, ()):
            report.sections += [(f"log of {daemon.log.stem}", daemon.tail()) for daemon in each.daemons]
    return report
