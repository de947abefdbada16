"""The demo's own PostgreSQL in another process, and the processes that are at work in its folder."""

import asyncio
import os
import shutil
import signal
import sys
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[3]
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


def processes_in(folder):
    return [process for process in Path("/proc").glob("[0-9]*") if where(process).is_relative_to(folder)]


def where(process):
    try:
        return (process / "cwd").readlink()
    except OSError:  # it has just ended, or is not ours
        return Path("/")
