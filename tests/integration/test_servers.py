"""What the tests rely on: servers that are as good as new, and that leave nothing behind."""

import asyncio
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import asyncpg
import pytest

from tests.servers import server
from tests.servers.choice import choose_postgres
from tests.servers.management import Management
from tests.servers.server import Unavailable, free_port, postgres_answers, until


async def test_a_new_database_is_migrated(new_database):
    connection = await asyncpg.connect(await new_database())
    assert await connection.fetchval("SELECT count(*) FROM schema_migrations") > 0
    await connection.close()


async def test_a_new_vhost_is_empty_and_can_be_entered(new_vhost, management_url):
    url = await new_vhost()
    connection = await aio_pika.connect(url)
    await connection.close()
    assert await Management(management_url).queues(urlsplit(url).path[1:]) == []


def test_a_port_is_given_once_and_only_while_nobody_listens_there(monkeypatch):
    taken, free = free_port(), free_port()  # not any: nobody who connects meanwhile is given one of these
    monkeypatch.setattr(server, "PORTS", (taken, free))
    monkeypatch.setattr(server, "_given", set())
    with socket.create_server(("127.0.0.1", taken)):
        assert free_port() == free
        with pytest.raises(Unavailable):
            free_port()


@pytest.mark.usefixtures("postgres")
async def test_processes_that_share_the_tests_say_at_the_end_which_servers_they_used():
    test = f"{__file__}::{test_a_new_database_is_migrated.__name__}"
    command = (sys.executable, "-m", "pytest", "--numprocesses", "2", test)
    run = await asyncio.create_subprocess_exec(*command, cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE)
    printed, _ = await run.communicate()
    assert f"PostgreSQL: {choose_postgres().told}" in printed.decode()


RUN_THAT_NEVER_ENDS = """
import asyncio
from tests.servers.choice import choose_postgres
from tests.servers.remains import remains

async def main():
    server = choose_postgres(own=True).make()
    await server.start()
    print(server.url, remains().folder, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.usefixtures("own_postgres")
async def test_a_run_that_is_killed_leaves_neither_server_nor_files():
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUN_THAT_NEVER_ENDS, cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE
    )
    assert run.stdout is not None
    url, folder = (await run.stdout.readline()).decode().split()
    await postgres_answers(url)
    run.kill()
    await run.wait()
    await until(lambda: nothing_is_left(url, Path(folder)))


async def nothing_is_left(url, folder):
    if folder.exists():
        raise FileExistsError(folder)
    try:
        await postgres_answers(url)
    except OSError:
        return
    raise ConnectionAbortedError("it still answers")
