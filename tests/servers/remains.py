"""Removes what a test run leaves, even when it is killed: a process that outlives it waits for its end.

The run holds the other end of a pipe. When the pipe closes, for whatever reason, the run is over.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from functools import cache
from pathlib import Path
from typing import NamedTuple

import docker
from docker.errors import APIError, DockerException

LABEL = "order-saga.tests"


class Remains(NamedTuple):
    """What carries `session` as its LABEL, and all that is below `folder`, goes when the run is over."""

    session: str
    folder: Path
    remover: "subprocess.Popen[bytes]"

    def remove(self) -> None:
        """Remove it now, at the orderly end of a run."""
        assert self.remover.stdin
        self.remover.stdin.close()
        self.remover.wait(timeout=300)


@cache
def remains() -> Remains:
    """Start the remover, once a run."""
    session = uuid.uuid4().hex
    # A path of a Unix socket is short, and the servers, which run as nobody, must get there.
    folder = Path(tempfile.mkdtemp(prefix="order-saga-", dir="/tmp"))
    folder.chmod(0o711)
    command = [sys.executable, __file__, session, str(folder)]
    remover = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    return Remains(session, folder, remover)


def main(session: str, folder: str) -> None:
    while os.read(0, 1):
        pass
    with contextlib.suppress(DockerException):
        _remove_containers_and_networks(session)
    shutil.rmtree(folder, ignore_errors=True)


def _remove_containers_and_networks(session: str) -> None:
    client = docker.from_env(timeout=300)
    ours = {"label": f"{LABEL}={session}"}
    for container in client.containers.list(all=True, filters=ours):
        with contextlib.suppress(APIError):
            container.remove(force=True, v=True)
    for network in client.networks.list(filters=ours):
        with contextlib.suppress(APIError):
            network.remove()


if __name__ == "__main__":
    main(*sys.argv[1:])
