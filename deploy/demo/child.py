"""A server process that cannot outlive this one, and that has no more rights than it needs."""

import asyncio
import ctypes
import os
import pwd
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

PR_SET_PDEATHSIG = 1


async def start(
    *command: str | Path, folder: Path, environment: Mapping[str, str], output: IO[bytes]
) -> asyncio.subprocess.Process:
    """Run `command` in `folder`, as nobody if we are root, until it ends or this process dies."""
    return await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,  # Ctrl-C is for us; what we started, we stop, in order
        preexec_fn=_die_with(os.getpid()),
        **_identity(),
    )


async def stop(process: asyncio.subprocess.Process, how: signal.Signals, timeout_seconds: float) -> None:
    """Ask it to end, and kill it if it has not after the timeout."""
    with suppress(ProcessLookupError):
        process.send_signal(how)
    try:
        await asyncio.wait_for(process.wait(), timeout_seconds)
    except TimeoutError:
        await kill(process)


async def kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def hand_over(folder: Path) -> None:
    """Make `folder`, not yet filled, the child's own."""
    if as_nobody():
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)


def as_nobody() -> bool:
    """Servers refuse to run as root, for good reasons; the user nobody is everywhere."""
    return os.geteuid() == 0


def _identity() -> dict[str, Any]:
    if not as_nobody():
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _die_with(parent: int) -> Callable[[], None] | None:
    # Runs after the change of user, which would clear the death signal. Only Linux has one.
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def arrange() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return arrange
