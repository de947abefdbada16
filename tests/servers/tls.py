"""Servers in Docker that speak TLS, and the certificates that they show."""

import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote, urlsplit

from tests.servers.containers import PostgresContainer, RabbitMQContainer
from tests.servers.server import Unavailable, free_port

RABBITMQ_TLS_PORT = 5671
RABBITMQ_CONF = f"""\
listeners.ssl.default = {RABBITMQ_TLS_PORT}
ssl_options.cacertfile = /tls/authority.pem
ssl_options.certfile = /tls/server.pem
ssl_options.keyfile = /tls/server.key
"""
# PostgreSQL takes a key only if it alone can read it.
POSTGRES_COMMAND = (
    "bash -c 'install -o postgres -m 600 /tls/server.key /tmp/server.key && exec docker-entrypoint.sh postgres"
    " -c fsync=off -c ssl=on -c ssl_cert_file=/tls/server.pem -c ssl_key_file=/tmp/server.key'"
)


def certify(folder: Path) -> None:
    """Write authority.pem, stranger.pem, another authority, and the server's pair. Raises Unavailable."""
    if shutil.which("openssl") is None:
        raise Unavailable("openssl is not installed")
    for name in ("authority", "stranger"):
        files = f"-keyout {name}.key -out {name}.pem"
        _openssl(folder, f"req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN={name} {files}")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    _openssl(folder, "req -newkey rsa:2048 -nodes -subj /CN=server -keyout server.key -out server.csr")
    _openssl(
        folder,
        "x509 -req -days 1 -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -extfile names"
        " -out server.pem",
    )
    folder.chmod(0o755)  # the containers' users must get there
    (folder / "server.key").chmod(0o644)
    (folder / "rabbitmq.conf").write_text(RABBITMQ_CONF)


class TlsPostgres(PostgresContainer):
    """Connects with or without TLS, as the client likes; `url` insists on TLS."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._container.with_command(POSTGRES_COMMAND).with_volume_mapping(str(folder), "/tls", "ro")

    async def start(self) -> None:
        await super().start()
        self.url += f"?sslmode=verify-full&sslrootcert={self._folder}/authority.pem"


class TlsRabbitMQ(RabbitMQContainer):
    """`url` is that of the TLS listener."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._container.with_bind_ports(RABBITMQ_TLS_PORT, free_port())
        self._container.with_volume_mapping(str(folder), "/tls", "ro")
        self._container.with_volume_mapping(f"{folder}/rabbitmq.conf", "/etc/rabbitmq/conf.d/20-tls.conf", "ro")

    async def start(self) -> None:
        await super().start()
        user, _, _ = urlsplit(self.url).netloc.rpartition("@")
        authority = quote(f"{self._folder}/authority.pem")
        self.url = f"amqps://{user}@{self.address(RABBITMQ_TLS_PORT)}/?cafile={authority}"


def _openssl(folder: Path, arguments: str) -> None:
    subprocess.run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True)
