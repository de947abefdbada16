"""One world for all tests of the audit, mended after each."""

from collections.abc import AsyncIterator

import pytest

from deploy.definitions import all_services
from messages.transport.daemon import housekeeping
from messages.transport.in_process.broker import InProcessBroker
from messages.transport.topology import topology_of
from tests.integration.audit.worlds import KEEP, MINE, RESTORE, World, live, stock
from tests.integration.small_system import Urls, databases, running


@pytest.fixture(scope="package")
async def prepared(postgres_url: str) -> AsyncIterator[World]:
    """Three services have lived, and are gone."""
    exchanges = InProcessBroker(topology_of(all_services()))
    exchanges.declare(MINE)
    async with databases(postgres_url) as urls:
        with pytest.MonkeyPatch.context() as slow_machine:
            # What is confirmed would stay in the outbox, and be found there.
            slow_machine.setattr(housekeeping, "LAST_WORD_SECONDS", 60.0)
            world = await lived(urls, exchanges)
        yield world


async def lived(urls: Urls, exchanges: InProcessBroker) -> World:
    async with running(urls, exchanges.beside):
        broker = exchanges.beside()
        await broker.start()
        await stock(broker, urls, agents=("A-1", "A-2", "A-3"))
        world = await live(broker, urls)
        await broker.close()
    return world


@pytest.fixture
async def world(prepared: World) -> AsyncIterator[World]:
    """Is again as it was, after the test."""
    for service in prepared.urls:
        await prepared.corrupt(service, KEEP)
    yield prepared
    for service in prepared.urls:
        await prepared.corrupt(service, RESTORE)
