"""Orders, and those who take units away, lock units in the same order, whatever the database's collation is."""

from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import asyncpg
import pytest

from messages.contracts.delivery import AgentCameOnline, AgentWentOffline
from messages.contracts.message import Message
from messages.transport.database.lock_mode import LockMode
from store_worker.service import service
from store_worker.settings import Settings
from tests.integration.races.twins import Twins, blocked, reserve_agent
from tests.integration.store_worker.messages import reserve, stock, withdraw
from tests.integration.workers import Worker, heard
from tests.servers.databases import create_migrated, of_database

ENGLISH = "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"


@pytest.fixture
async def english_twins(postgres_url: str) -> AsyncIterator[Twins]:
    """On a database that sorts as people do: `a` before `B`."""
    built = [service(Settings(database_url="postgresql://elsewhere/")) for _ in range(2)]
    try:
        name = await create_migrated(postgres_url, built[0].migrations, ENGLISH)
    except asyncpg.FeatureNotSupportedError as error:
        pytest.skip(str(error))
    here, there = [await Worker.start(each, of_database(postgres_url, name)) for each in built]
    yield here, there
    for worker in (here, there):
        await worker.stop()
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.mark.parametrize(
    "message", [lambda: reserve(uuid4(), a=1, B=1), lambda: withdraw("A-1", "B-1")], ids=["reserve", "withdraw"]
)
async def test_shelves_are_locked_in_one_order(english_twins: Twins, message: Callable[[], Message]) -> None:
    here, there = english_twins
    await here.hear(stock("a", "A-1"), stock("B", "B-1"))

    async with here.database.transaction() as tx:
        await tx.execute("SELECT FROM packet WHERE sku = 'a' FOR UPDATE")
        waiting = await blocked(here, there.hear_documents([heard(message())], LockMode.BLOCKING))
        assert await tx.fetch("SELECT FROM packet WHERE sku = 'B' FOR UPDATE SKIP LOCKED") == []
    await waiting


@pytest.mark.parametrize(
    "messages",
    [
        lambda: [reserve_agent(uuid4()), reserve_agent(uuid4())],
        lambda: [AgentWentOffline(agent_id="A-1"), AgentWentOffline(agent_id="A-2")],
        lambda: [AgentCameOnline(agent_id="A-1", zone="mitte"), AgentCameOnline(agent_id="A-2", zone="mitte")],
    ],
    ids=["reserve", "offline", "online"],
)
async def test_agents_are_locked_in_one_order(delivery_twins: Twins, messages: Callable[[], list[Message]]) -> None:
    here, there = delivery_twins
    for agent_id in ("A-2", "A-1"):  # the first one is idle for longest
        await here.hear(AgentCameOnline(agent_id=agent_id, zone="mitte"))

    async with here.database.transaction() as tx:
        await tx.execute("SELECT FROM agent WHERE agent_id = 'A-1' FOR UPDATE")
        waiting = await blocked(here, there.hear_documents(list(map(heard, messages())), LockMode.BLOCKING))
        assert await tx.fetch("SELECT FROM agent WHERE agent_id = 'A-2' FOR UPDATE SKIP LOCKED") == []
    await waiting
