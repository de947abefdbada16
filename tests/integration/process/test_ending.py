"""What waiting does not mend ends a process, with the name of what is wrong, and a daemon with one line of it."""

import asyncio
import socket
from unittest.mock import AsyncMock

import pytest

from messages.transport.batches.consumer import Consumer
from messages.transport.daemon.jobs import Jobs
from messages.transport.database.transactions import Transaction
from messages.transport.dead_letters import DeadLetters
from messages.transport.faults import UnfitDatabase
from messages.transport.settings import WrongSetting
from tests.integration.pooler import Pooler
from tests.integration.process.clients import Client
from tests.integration.process.daemons import daemon
from tests.integration.toy.service import bought, paid
from tests.integration.toy.station import Station
from tests.servers.server import free_port


async def test_a_database_url_that_no_server_is_asked_about_ends_the_process_with_its_name(station: Station) -> None:
    url = f"{station.url}{'&' if '?' in station.url else '?'}sslmode=bogus"
    with pytest.raises(WrongSetting, match="TOY_DATABASE_URL: `sslmode` parameter"):
        async with station.running(database_url=url) as running:
            await running.task


async def test_a_pooler_that_drops_what_a_session_is_set_to_ends_the_process(station: Station) -> None:
    async with Pooler(station.url) as pooler:
        running = station.running(database_url=pooler.url)
        with pytest.raises(
            UnfitDatabase, match=r"a pooler in between drops default_transaction_isolation, .*statement_timeout"
        ):
            async with running as process:
                await process.task


async def test_a_service_that_cannot_even_count_ends_with_its_error(station: Station) -> None:
    async def count(_tx: Transaction) -> int:
        raise KeyError("a bug")

    station.toy.capacity = count
    await station.say(bought("a"), paid("b"))
    with pytest.raises(KeyError, match="a bug"):
        async with station.running() as running:
            await running.task
    assert len(await station.left_in("toy.paid")) == 1


@pytest.mark.parametrize(("part", "name"), [(Consumer, "consumer"), (Jobs, "jobs"), (DeadLetters, "dead letters")])
async def test_a_process_of_which_a_part_has_ended_does_not_pass_for_one_that_was_stopped(
    station: Station, monkeypatch: pytest.MonkeyPatch, part: type, name: str
) -> None:
    monkeypatch.setattr(part, "run", AsyncMock())
    with pytest.raises(RuntimeError, match=f"^{name} ended unexpectedly$"):
        async with station.running() as running:
            await asyncio.wait_for(running.task, 60)


async def test_a_daemon_whose_migration_was_changed_says_so_in_one_line(own_station: Station, client: Client) -> None:
    await own_station.rows("UPDATE schema_migrations SET checksum = 'other' WHERE name LIKE 'tests.%'")
    async with daemon(own_station, client) as process:
        assert await asyncio.wait_for(process.wait(), 100) == 1
        line = await last_line(process)
    changed = "tests.integration.toy/0001_create_purchase.sql was changed after it had been applied"
    assert line == f"Error: TOY_DATABASE_URL: {changed}"


async def test_a_port_that_is_taken_is_one_line_that_names_the_setting(station: Station, client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with daemon(station, client, http_port=taken.getsockname()[1]) as process:
            assert await asyncio.wait_for(process.wait(), 100) == 2
            line = await last_line(process)
    assert line.startswith("Error: TOY_HTTP_PORT: ")


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "no-such-host.invalid", "no..host"])
async def test_a_host_that_is_not_this_one_is_one_line_that_names_the_setting(
    station: Station, client: Client, host: str
) -> None:
    async with daemon(station, client, http_host=host, http_port=free_port()) as process:
        assert await asyncio.wait_for(process.wait(), 100) == 2
        line = await last_line(process)
    assert line.startswith("Error: TOY_HTTP_HOST: ")


async def last_line(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    lines = (await process.stderr.read()).decode().splitlines()
    assert not any("Traceback" in line for line in lines)
    return lines[-1]
