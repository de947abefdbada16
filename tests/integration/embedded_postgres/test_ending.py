"""Nothing of the demo's own PostgreSQL outlives the process that started it."""

import asyncio
import signal
import sys

import pytest

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


async def is_being_created(folder):
    if not (folder / "data" / "base").exists():
        raise BlockingIOError(f"nothing in {folder} yet")


async def is_left_alone(folder):
    if processes_in(folder):
        raise BlockingIOError(f"processes are at work in {folder}")
