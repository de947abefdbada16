"""`migrate` says in one line what keeps it from migrating."""

import asyncio
import os
import shlex
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from messages.transport.database import migrating
from tests.integration.toy.commands import tell_toy
from tests.integration.toy.station import Station


async def test_an_empty_database_is_migrated_and_each_migration_told_once(empty_url: str) -> None:
    environment = {"TOY_DATABASE_URL": empty_url}
    first, again = [await asyncio.to_thread(tell_toy, "migrate", environment=environment) for _ in range(2)]
    assert first.exit_code == 0
    assert "applied tests.integration.toy/0001_create_purchase.sql" in first.stdout.splitlines()
    connection = await asyncpg.connect(empty_url)
    names = await connection.fetch("SELECT name FROM schema_migrations")
    await connection.close()
    assert sorted(first.stdout.splitlines()) == sorted(f"applied {name}" for (name,) in names)
    assert (again.exit_code, again.output) == (0, "")


async def test_a_role_that_may_not_migrate_is_one_line(station: Station) -> None:
    url = f"{station.url}{'&' if '?' in station.url else '?'}role=pg_monitor"
    result = await asyncio.to_thread(tell_toy, "migrate", environment={"TOY_DATABASE_URL": url})
    assert (result.exit_code, result.output) == (3, "Error: TOY_DATABASE_URL: permission denied for schema public\n")


async def test_a_migration_that_fails_is_named_in_one_line(own_station: Station) -> None:
    await own_station.rows("DELETE FROM schema_migrations WHERE name LIKE 'tests.%'")
    result = await asyncio.to_thread(tell_toy, "migrate", environment={"TOY_DATABASE_URL": own_station.url})
    assert (result.exit_code, result.stdout) == (3, "")
    failed = "migration tests.integration.toy/0001_create_purchase.sql"
    assert result.stderr == f'Error: TOY_DATABASE_URL: {failed}: relation "purchase" already exists\n'


async def test_what_was_applied_before_one_failed_is_told(own_station: Station) -> None:
    await own_station.rows("DELETE FROM schema_migrations WHERE name LIKE 'tests.%' OR name LIKE '%0003_compress%'")
    result = await asyncio.to_thread(tell_toy, "migrate", environment={"TOY_DATABASE_URL": own_station.url})
    assert (result.exit_code, result.stdout) == (
        3,
        "applied messages.transport/0003_compress_outbox_quickly.sql\n",
    )


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason=f"a disk that is full is {FULL}, which is not here")
async def test_an_output_that_takes_nothing_is_not_the_fault_of_the_database_and_keeps_nothing_from_it(
    empty_url: str, tmp_path: Path
) -> None:
    environment = os.environ | {"ORDER_SAGA_DATABASE_URL": empty_url, "BROKER_URL": "amqp://127.0.0.1:1/"}

    def migrate_to(output: str) -> "subprocess.CompletedProcess[bytes]":
        command = f"{shlex.quote(sys.executable)} -m order_saga migrate >{output}"
        return subprocess.run(command, shell=True, env=environment, stderr=subprocess.PIPE, check=False)

    first = await asyncio.to_thread(migrate_to, str(FULL))
    again = await asyncio.to_thread(migrate_to, shlex.quote(str(told := tmp_path / "told")))
    assert (first.returncode, first.stderr) == (3, b"Error: the output is incomplete: No space left on device\n")
    assert (again.returncode, told.read_text(), again.stderr) == (0, "", b"")


async def test_who_holds_up_a_migration_is_told_in_one_line(
    own_station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"LOCK_SECONDS": 0.02, "PAUSE_SECONDS": 0.01, "TRIES": 2}.items():
        monkeypatch.setattr(migrating, name, value)
    await own_station.rows("DELETE FROM schema_migrations WHERE name LIKE '%0003_compress_outbox%'")
    async with own_station.connection.transaction():
        await own_station.rows("SELECT FROM outbox")
        result = await asyncio.to_thread(tell_toy, "migrate", environment={"TOY_DATABASE_URL": own_station.url})
    assert (result.exit_code, result.stdout) == (3, "")
    waiting, failed = result.stderr.splitlines()
    name = "messages.transport/0003_compress_outbox_quickly.sql"
    assert waiting.startswith(f"{name} is waiting for a table lock; locked now: outbox by ")
    assert failed == f"Error: TOY_DATABASE_URL: migration {name}: canceling statement due to lock timeout"
