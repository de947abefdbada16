"""Installs a server with apt-get, where that is possible: as root on Debian and its derivatives."""

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.servers.server import Unavailable

TIMEOUT_SECONDS = 600
VERSION = Path("/etc/debian_version")
POLICY = Path("/usr/sbin/policy-rc.d")


def install(package: str) -> None:
    """Raises Unavailable."""
    if os.geteuid() != 0 or not VERSION.exists() or not shutil.which("apt-get"):
        raise Unavailable(f"{package} is installed by this command on Debian as root only")
    with _one_at_a_time(), _no_service_is_started():
        _run("apt-get", "update", "-qq")
        _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", package)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    # Several processes share the tests of a run, and all of them look for servers first.
    with VERSION.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _no_service_is_started() -> Iterator[None]:
    # Debian starts what it installs unless this file forbids it.
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def _run(*command: str) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{' '.join(command)}: not done after {TIMEOUT_SECONDS} s") from None
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"{' '.join(command)}: {error.stderr.strip().splitlines()[-1:]}") from None
