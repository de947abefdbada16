"""A process waits for its servers, survives their absence, reports its health, and leaves nothing half done."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from messages.transport.batches import pacing, stall_guard
from messages.transport.daemon import housekeeping, measuring
from messages.transport.database.migrating import ChangedMigration, migrate
from messages.transport.database.transactions import Transaction
from messages.transport.faults import UnfitDatabase
from messages.transport.release import release
from messages.transport.settings import WrongSetting
from tests.integration.network import Network
from tests.integration.pooler import Pooler
from tests.integration.toy.service import FAIL, MIGRATIONS, TELL_ELSEWHERE, bought, paid
from tests.integration.toy.station import Station
from tests.integration.toy.waiting import until
from tests.servers.server import Server, free_port


@pytest.fixture
async def network(station: Station) -> AsyncIterator[Network]:
    """Between the process and its database."""
    async with Network(station.url) as network:
        yield network


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def says(port: int, path: str) -> tuple[int, Any]:
    status, body = await asyncio.to_thread(get, port, path)
    return status, json.loads(body)


async def until_says(port: int, path: str, expected: tuple[int, Any]) -> None:
    async def so() -> bool:
        try:
            return await says(port, path) == expected
        except OSError:  # not yet
            return False

    await until(so)


async def measured(port: int) -> str:
    return (await asyncio.to_thread(get, port, "/metrics"))[1]


async def until_measured(port: int, line: str) -> None:
    async def so() -> bool:
        return f"ordersaga_{line}\n" in await measured(port)

    await until(so)


QUICK_RELAY: dict[str, Any] = {
    "publish_timeout_seconds": 0.5,
    "relay_after_seconds": 1.0,
    "relay_interval_seconds": 0.2,
}
READY = {"migrations": True, "postgresql": True, "broker": True, "batch": True}
NOT_READY = {"migrations": False, "postgresql": False, "batch": True}


# -- starting


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


async def test_a_process_that_waits_for_its_database_stops_at_once(station: Station, network: Network) -> None:
    await network.unplug()
    with capture_logs() as logs:
        async with station.running(database_url=network.url, drain_seconds=60.0) as running:
            await until(lambda: _is_waiting_for_postgresql(logs))
            running.stop.set()
            await asyncio.wait_for(running.task, 20)


async def _is_waiting_for_postgresql(logs: Sequence[Mapping[str, object]]) -> bool:
    return "waiting for PostgreSQL" in [line["event"] for line in logs]


async def test_a_database_url_that_no_server_is_asked_about_ends_the_process_with_its_name(station: Station) -> None:
    url = f"{station.url}{'&' if '?' in station.url else '?'}sslmode=bogus"
    with pytest.raises(WrongSetting, match="TOY_DATABASE_URL: `sslmode` parameter"):
        async with station.running(database_url=url) as running:
            await running.task


async def test_a_pooler_that_drops_what_a_session_is_set_to_ends_the_process(station: Station) -> None:
    async with Pooler(station.url) as pooler:
        running = station.running(database_url=pooler.url)
        with pytest.raises(UnfitDatabase, match=r"a pooler in between drops enable_hashjoin, .*statement_timeout"):
            async with running as process:
                await process.task


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


@pytest.fixture
def measured_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "MEASURE_SECONDS", 0.2)


@pytest.mark.usefixtures("measured_often")
async def test_what_is_parked_is_counted_by_whose_fault_it_is(station: Station) -> None:
    port = free_port()
    await station.publish("bought", b"{")
    await station.publish("bought", b"[")
    await station.say(bought("a", FAIL))
    async with station.running(http_port=port):
        await station.until_count("parked", 3)
        await until_measured(port, 'parked_documents{fault="theirs"} 2.0')
        await until_measured(port, 'parked_documents{fault="ours"} 1.0')
        await station.rows("UPDATE parked SET from_outside = false, reason = 'invalid' WHERE body = '['")
        await until_measured(port, 'parked_documents{fault="ours"} 2.0')


@pytest.mark.usefixtures("measured_often")
async def test_the_outbox_is_measured_as_the_table_has_it_also_what_no_process_knows_of(station: Station) -> None:
    port = free_port()
    async with station.running(http_port=port, relay_interval_seconds=300.0, unconfirmed_rows=7) as running:
        await running.ready()
        await until_measured(port, "outbox_rows 0.0")
        assert "ordersaga_outbox_oldest_seconds 0.0\n" in await measured(port)
        assert "ordersaga_outbox_unconfirmed_rows_limit 7.0\n" in await measured(port)
        await station.rows(
            "INSERT INTO outbox (exchange, key, body, documents, publish_after, kept_at)"
            " SELECT 'outcomes', 'k', '{}', 1, now() + interval '1 day', now() - interval '1 hour' * i"
            " FROM generate_series(0, 2) AS i"
        )
        await until_measured(port, "outbox_rows 3.0")
        oldest = running.process.metrics.registry.get_sample_value("ordersaga_outbox_oldest_seconds")
        assert oldest is not None
        assert 7_200 <= oldest < 7_300


@pytest.mark.usefixtures("measured_often")
async def test_the_offset_of_the_database_s_clock_is_measured(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    async with station.running(http_port=port) as running:
        await running.ready()
        monkeypatch.setattr(measuring, "time", SimpleNamespace(time=lambda: time.time() - 60.0))

        async def is_a_minute() -> bool:
            offset = running.process.metrics.registry.get_sample_value("ordersaga_database_clock_offset_seconds")
            return offset is not None and 55.0 < offset <= 60.0

        await until(is_a_minute)


async def test_a_process_says_which_release_it_is_when_it_starts(station: Station) -> None:
    with capture_logs() as logs:
        async with station.running() as running:
            await running.ready()
    assert [line["version"] for line in logs if line["event"] == "started"] == [release()]


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


async def test_a_changed_migration_ends_the_process_with_its_name(own_station: Station) -> None:
    await own_station.rows("UPDATE schema_migrations SET checksum = 'other' WHERE name LIKE 'tests.%'")
    running = own_station.running()
    with pytest.raises(ChangedMigration, match=r"0001_create_purchase\.sql"):
        async with running as process:
            await process.task


# -- while it runs


async def test_a_database_that_vanishes_parks_nothing_and_loses_nothing(station: Station, network: Network) -> None:
    port = free_port()
    async with station.running(database_url=network.url, http_port=port, batch_documents=5, **QUICK_RELAY) as running:
        await running.ready()
        for number in range(100):
            await station.say(bought(f"{number}", TELL_ELSEWHERE), paid(f"{number} paid"))
            if number == 30:
                await network.unplug()
                await until_says(port, "/readyz", (503, READY | {"postgresql": False}))
                assert (await says(port, "/livez"))[0] == 200
                await network.plug_in()
            if number % 20 == 10:
                network.flicker()
                await asyncio.sleep(0.05)
        await until(lambda: _all_heard(station, 200))
        await until_says(port, "/readyz", (200, READY))
        await station.until_count("outbox", 0)
    assert await station.parked() == []
    assert set(station.texts()) == set(await station.heard())
    assert await station.left_in("toy.bought") == await station.left_in("toy.paid") == []


async def _all_heard(station: Station, number: int) -> bool:
    ((heard,),) = await station.rows("SELECT count(DISTINCT text) FROM heard")
    return bool(heard == number)


async def test_a_restarted_postgres_parks_nothing_and_loses_nothing(own_postgres: Server) -> None:
    connection = await asyncpg.connect(own_postgres.url)
    await migrate(connection, [MIGRATIONS])
    await connection.close()
    station = await Station.open(own_postgres.url)
    async with station.running(batch_documents=5, **QUICK_RELAY):
        await station.say(*(bought(str(number)) for number in range(50)))
        await station.until_heard(50)
        for number, end in ((50, own_postgres.stop), (100, own_postgres.kill)):
            ending = asyncio.create_task(end())
            for text in range(number, number + 50):
                await station.say(bought(str(text)))
                await asyncio.sleep(0)
            await ending
            await own_postgres.start()
            station.connection = await asyncpg.connect(own_postgres.url)
            await until(lambda: _all_heard(station, number + 50))  # noqa: B023  awaited within the round
        await station.until_count("outbox", 0)
    assert await station.parked() == []
    assert {int(text) for text in station.texts()} == set(range(150))
    await station.close()


async def test_a_service_that_cannot_even_count_ends_with_its_error(station: Station) -> None:
    async def count(_tx: Transaction) -> int:
        raise KeyError("a bug")

    station.toy.capacity = count
    await station.say(bought("a"), paid("b"))
    with pytest.raises(KeyError, match="a bug"):
        async with station.running() as running:
            await running.task
    assert len(await station.left_in("toy.paid")) == 1


# -- stopping


async def test_a_stop_drains_and_leaves_nothing_open(own_station: Station) -> None:
    async with own_station.running() as running:
        await own_station.say(*(bought(str(number)) for number in range(50)))
        await own_station.until_heard(50)
        running.stop.set()
        await asyncio.wait_for(running.task, 5)
    assert len(own_station.texts()) == 50
    assert await own_station.count("outbox") == 0
    await own_station.until_count("pg_stat_activity WHERE datname = current_database() AND application_name = 'toy'", 0)


async def test_a_silent_database_does_not_keep_a_process_from_stopping_in_time(
    station: Station, network: Network
) -> None:
    async with station.running(database_url=network.url, drain_seconds=1.0) as running:
        await running.ready()
        network.freeze()
        await station.say(bought("a"))
        await asyncio.sleep(0.1)
        running.stop.set()
        await asyncio.wait_for(running.task, 6)
        network.thaw()
    assert await station.heard() == []
    assert len(await station.left_in("toy.bought")) == 1


async def test_a_process_that_lets_new_work_wait_stops_all_the_same(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "LONGEST_SECONDS", 60.0)
    monkeypatch.setattr(pacing, "APART", 60.0)

    async def capacity(_tx: Transaction) -> int:
        return 1_000

    station.toy.capacity = capacity
    async with station.running(drain_seconds=30.0) as running:
        await running.ready()
        await station.say_together(*(bought(str(number)) for number in range(200)))
        await station.until_heard(200)
        await station.say(bought("too soon"))
        running.stop.set()
        await asyncio.wait_for(running.task, 5)
    assert len(await station.heard()) == 200
    assert len(await station.left_in("toy.bought")) == 1


async def test_a_cancelled_process_drains_too(station: Station) -> None:
    async with own_task(station) as running:
        await running.ready()
        await station.say(bought("a"))
        await station.until_heard(1)
        running.task.cancel()
        await asyncio.gather(running.task, return_exceptions=True)
    assert station.texts() == ["a"]


@asynccontextmanager
async def own_task(station: Station) -> AsyncIterator[Any]:
    with_cancelled = station.running()
    running = await with_cancelled.__aenter__()
    try:
        yield running
    finally:
        with pytest.raises(asyncio.CancelledError):
            await with_cancelled.__aexit__(None, None, None)
