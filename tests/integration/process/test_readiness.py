"""A process says when it is ready, and waits for a database that is down or not migrated."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from messages.transport.batches import stall_guard
from messages.transport.database.migrating import migrate
from messages.transport.version import version
from tests.integration.network import Network
from tests.integration.process.endpoints import NOT_READY, READY, get, measured, says, until_measured, until_says
from tests.integration.toy.service import MIGRATIONS, bought
from tests.integration.toy.station import Station
from tests.servers.server import free_port


async def test_a_process_says_when_it_is_ready_and_what_it_counts(station: Station) -> None:
    port = free_port()
    async with station.running(http_port=port):
        await until_says(port, "/readyz", (200, READY))
        await station.say(bought("a"))
        await station.until_told(1)
        assert await says(port, "/livez") == (200, {"event_loop": True})
        _, metrics = await asyncio.to_thread(get, port, "/metrics")
        assert 'ordersaga_messages_received_total{type="Bought"} 1.0' in metrics
        assert 'ordersaga_messages_sent_total{type="Counted"} 1.0' in metrics
        assert 'ordersaga_connected{server="postgresql"}' in metrics


async def test_a_database_that_is_down_at_the_start_is_waited_for(station: Station, network: Network) -> None:
    port = free_port()
    await network.unplug()
    await station.say(bought("a"))
    async with station.running(database_url=network.url, http_port=port):
        await until_says(port, "/readyz", (503, NOT_READY))
        assert (await says(port, "/livez"))[0] == 200
        await network.plug_in()
        await station.until_heard(1)
        await until_says(port, "/readyz", (200, READY))


async def test_a_batch_that_does_not_come_to_an_end_makes_it_unready(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stall_guard, "HELD_SECONDS", 0.1)
    port = free_port()
    station.toy.gate.clear()
    async with station.running(http_port=port):
        await station.say(bought("a"))
        await until_says(port, "/readyz", (503, READY | {"batch": False}))
        station.toy.gate.set()
        await until_says(port, "/readyz", (200, READY))


async def test_a_process_says_which_release_it_is_when_it_starts(station: Station) -> None:
    with capture_logs() as logs:
        async with station.running() as running:
            await running.ready()
    assert [line["version"] for line in logs if line["event"] == "started"] == [version()]


async def test_missing_migrations_are_waited_for(postgres_url: str) -> None:
    name = f"test_{uuid4().hex}"
    admin = await asyncpg.connect(postgres_url)
    await admin.execute(f"CREATE DATABASE {name}")
    station = await Station.open(postgres_url.rpartition("/")[0] + f"/{name}")
    port = free_port()
    await station.say(bought("a"))
    async with station.running(http_port=port):
        await until_says(port, "/readyz", (503, NOT_READY | {"postgresql": True}))
        await until_measured(port, 'connected{server="postgresql"} 1.0')
        metrics = await measured(port)
        assert "ordersaga_migrated 0.0" in metrics
        assert "broker" not in metrics  # nobody is to look for what is wrong with it
        await migrate(station.connection, [MIGRATIONS])
        await station.until_heard(1)
        await until_says(port, "/readyz", (200, READY))
        await until_measured(port, "migrated 1.0")
        await until_measured(port, 'connected{server="broker"} 1.0')
    await station.close()
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()
