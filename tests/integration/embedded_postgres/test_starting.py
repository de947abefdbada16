"""The demo's own PostgreSQL keeps its data over a crash, is ours alone, and says in one line what is wrong."""

import asyncio
import os

import asyncpg
import pytest

from deploy.demo import embedded_postgres
from deploy.demo.embedded_postgres import EmbeddedPostgres, NoPostgresError, installed_binaries
from messages.transport.database.postgres import Database


async def test_it_keeps_its_data_over_a_crash():
    async with EmbeddedPostgres() as postgres:
        await run(postgres.url, "CREATE TABLE kept (number int); INSERT INTO kept VALUES (7)")
        await postgres.kill()
        await postgres.start()
        await run(postgres.url, "DELETE FROM kept WHERE number = 7", expected="DELETE 1")


def test_where_there_are_no_binaries_no_folder_is_made(tmp_path, monkeypatch):
    def no_binaries():
        raise NoPostgresError("none")

    monkeypatch.setattr(embedded_postgres, "find_binaries", no_binaries)
    with pytest.raises(NoPostgresError):
        EmbeddedPostgres(below=tmp_path)
    assert not list(tmp_path.iterdir())


async def test_a_service_reaches_it_by_its_socket():
    async with EmbeddedPostgres() as postgres:
        database = Database(postgres.url)
        await asyncio.wait_for(database.open(), 60)
        await database.close()


async def test_nobody_else_can_reach_it():
    async with EmbeddedPostgres() as postgres:
        assert postgres.folder.stat().st_mode & 0o777 == 0o700
        await run(postgres.url, "SELECT WHERE current_setting('listen_addresses') = ''", expected="SELECT 1")


async def test_what_is_wrong_is_said_in_one_line(tmp_path):
    binaries = programs(tmp_path, "echo this machine is odd; exit 1")
    with pytest.raises(NoPostgresError, match=r"^initdb failed: .*this machine is odd$"):
        async with EmbeddedPostgres(binaries):
            pass


@pytest.mark.parametrize(
    ("said", "is_found"),
    [
        ("postgres (PostgreSQL) 15.4 (Debian 15.4-1)", True),
        ("postgres (PostgreSQL) 18beta1", True),
        ("postgres (PostgreSQL) 18rc2", True),
        ("postgres (PostgreSQL) 19devel", True),
        ("postgres (PostgreSQL) 14.9", False),
        ("out of order", False),
    ],
)
def test_the_system_s_own_server_is_found_by_its_release(tmp_path, monkeypatch, said, is_found):
    binaries = programs(tmp_path, f"echo '{said}'")
    monkeypatch.setenv("PATH", f"{binaries}:{os.environ['PATH']}")
    assert (binaries in installed_binaries()) == is_found


def programs(folder, script):
    binaries = folder / "installed" / "bin"
    binaries.mkdir(parents=True)
    for program in ("postgres", "initdb"):
        (binaries / program).write_text(f"#!/bin/sh\n{script}\n")
        (binaries / program).chmod(0o755)
    return binaries


async def run(url, statement, expected=None):
    connection = await asyncpg.connect(url)
    status = await connection.execute(statement)
    await connection.close()
    assert expected is None or status == expected
