"""Private, throw-away instances of servers that are installed on this machine."""

import os
import secrets
import shutil
import signal
import tempfile
from asyncio.subprocess import Process
from collections.abc import Callable
from pathlib import Path

from deploy.demo import child
from deploy.demo.embedded_postgres import EmbeddedPostgres, NoPostgresError, find_binaries, installed_binaries
from tests.servers.remains import remains
from tests.servers.server import OFTEN_TOLD, Server, Unavailable, free_port, rabbitmq_answers, until

STOP_TIMEOUT_SECONDS = 30.0


def look_for_postgres() -> Callable[[], Server]:
    """Raises Unavailable."""
    binaries = installed_binaries()
    if not binaries:
        raise Unavailable("no PostgreSQL from 15 on is installed")
    return lambda: InstalledPostgres(binaries[0], below=remains().folder)


def look_for_embedded_postgres() -> Callable[[], Server]:
    """Raises Unavailable."""
    try:
        binaries = find_binaries()
    except NoPostgresError as error:
        raise Unavailable(str(error)) from None
    return lambda: InstalledPostgres(binaries, below=remains().folder)


def look_for_rabbitmq() -> Callable[[], "RabbitMQNode"]:
    """Raises Unavailable."""
    # Debian's command of that name wants to be root or rabbitmq; the script behind it does not.
    path = f"/usr/lib/rabbitmq/bin:{os.environ.get('PATH', '')}"
    server, epmd = (shutil.which(program, path=path) for program in ("rabbitmq-server", "epmd"))
    if not server or not epmd:
        raise Unavailable("no rabbitmq-server is installed")
    return lambda: RabbitMQNode(server, epmd)


class InstalledPostgres(EmbeddedPostgres):
    """One that others can follow."""

    _primary: EmbeddedPostgres | None = None

    async def standby(self) -> Server:
        """A copy of it that follows it, running. Its commits do not wait for it yet."""
        standby = InstalledPostgres(self._binaries, below=remains().folder)
        standby._primary = self
        await standby.start()
        return standby

    async def _create(self) -> None:
        if self._primary is None:
            await super()._create()
            return
        flags = ("-h", self._primary.folder, "-U", "postgres", "-D", self._data, "-R", "-c", "fast", "--no-sync")
        process = await self._run("pg_basebackup", *flags)
        if await process.wait():
            raise NoPostgresError(self._with_log_tail("pg_basebackup failed"))


class RabbitMQNode:
    """A node of its own: own ports, own data, own Erlang port mapper, which knows no other node."""

    def __init__(self, server: str, epmd: str) -> None:
        self._server = server
        self._epmd = epmd
        self._processes: list[Process] = []
        self._folder = Path(tempfile.mkdtemp(prefix="rabbitmq-", dir=remains().folder))
        child.hand_over(self._folder)
        self._epmd_port, self._port, self._management_port = free_port(), free_port(), free_port()
        self._password = secrets.token_hex(8)
        self.url = f"amqp://test:{self._password}@127.0.0.1:{self._port}/"
        self.management_url = f"http://test:{self._password}@127.0.0.1:{self._management_port}"
        self._environment = self._write_configuration()

    async def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            for command in (self._epmd_command(), [self._server]):
                process = await child.start(*command, folder=self._folder, environment=self._environment, output=log)
                self._processes.append(process)
        await until(lambda: rabbitmq_answers(self.url, self.management_url))

    async def stop(self) -> None:
        while self._processes:
            await child.stop(self._processes.pop(), signal.SIGTERM, STOP_TIMEOUT_SECONDS)

    async def kill(self) -> None:
        while self._processes:
            await child.kill(self._processes.pop())

    async def remove(self) -> None:
        await self.stop()
        shutil.rmtree(self._folder)

    def _epmd_command(self) -> list[str]:
        return [self._epmd, "-port", str(self._epmd_port), "-address", "127.0.0.1"]

    def _write_configuration(self) -> dict[str, str]:
        configuration = self._folder / "rabbitmq.conf"
        configuration.write_text(f"""\
listeners.tcp.local = 127.0.0.1:{self._port}
management.tcp.ip = 127.0.0.1
management.tcp.port = {self._management_port}
default_user = test
default_pass = {self._password}
disk_free_limit.absolute = 50MB
""")
        plugins = self._folder / "enabled_plugins"
        plugins.write_text("[rabbitmq_management].\n")
        nothing = self._folder / "rabbitmq-env.conf"
        nothing.touch()
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("RABBITMQ_", "ERL_"))}
        return inherited | {
            "HOME": str(self._folder),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_CONF_ENV_FILE": str(nothing),
            "RABBITMQ_CONFIG_FILE": str(configuration),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder / "logs"),
            "RABBITMQ_PID_FILE": str(self._folder / "pid"),
            "RABBITMQ_NODENAME": f"test{self._port}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {{127,0,0,1}} {OFTEN_TOLD}",
            # Makes the script become the server instead of watching over it: our signals reach the right process.
            "RUNNING_UNDER_SYSTEMD": "true",
        }
