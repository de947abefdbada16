"""Nothing of the demo's own PostgreSQL outlives the process that started it."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from deploy.demo import child
from deploy.demo.embedded_postgres import EmbeddedPostgres
from tests.integration.embedded_postgres.serving import processes_in, serving
from tests.servers.server import until

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")


async def test_it_leaves_no_process_and_no_files():
    async with EmbeddedPostgres() as postgres:
        assert processes_in(postgres.folder)
    assert not processes_in(postgres.folder)
    assert not postgres.folder.exists()


async def test_interrupted_while_it_is_created_it_leaves_no_process_and_no_files():
    postgres = EmbeddedPostgres()
    entering = asyncio.create_task(postgres.__aenter__())
    await until(lambda: is_being_created(postgres.folder))
    entering.cancel()
    await asyncio.wait({entering})
    assert entering.cancelled()
    assert not processes_in(postgres.folder)
    assert not postgres.folder.exists()


@on_linux
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_it_ends_with_the_process_that_started_it(how):
    async with serving() as served:
        assert processes_in(served.folder)
        served.process.send_signal(how)
        await served.process.wait()
        await until(lambda: is_left_alone(served.folder))


async def test_ctrl_c_cleans_up():
    async with serving() as served:
        served.process.send_signal(signal.SIGINT)
        await served.process.wait()
        assert not served.folder.exists()


async def test_ctrl_c_is_for_us_alone():
    """What a terminal sends to all processes of a group does not reach the server before its clients have gone."""
    async with EmbeddedPostgres() as postgres:
        assert postgres._process is not None
        assert os.getpgid(postgres._process.pid) != os.getpgid(0)


async def test_a_server_that_does_not_end_when_it_is_told_to_is_killed(tmp_path):
    log = tmp_path / "log"
    stubborn = ("/bin/sh", "-c", "trap '' INT; echo started; exec sleep 600")
    with log.open("ab") as output:
        process = await child.start(*stubborn, folder=Path("/"), environment=os.environ, output=output)
    await until(lambda: has_started(log))
    await child.stop(process, signal.SIGINT, 0.2)
    assert process.returncode == -signal.SIGKILL


async def has_started(log):
    if not log.read_text():
        raise BlockingIOError("not started yet")


async def is_being_created(folder):
    if not (folder / "data" / "base").exists():
        raise BlockingIOError(f"nothing in {folder} yet")


async def is_left_alone(folder):
    if processes_in(folder):
        raise BlockingIOError(f"processes are at work in {folder}")
