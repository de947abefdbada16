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
ASKING_CONF = """\
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = EXTERNAL
ssl_cert_login_from = common_name
"""
ASKING_PLUGINS = "[rabbitmq_management, rabbitmq_auth_mechanism_ssl]."
# Only who creates databases, and is waiting for the server, needs none.
ASKING_HBA = """\
local all all trust
host postgres all all scram-sha-256
hostssl all all all scram-sha-256 clientcert=verify-full
"""
# Without it, Python refuses an authority from 3.13 on.
MAY_SIGN = "-addext keyUsage=critical,keyCertSign,cRLSign"
# PostgreSQL takes a key only if it alone can read it.
POSTGRES_COMMAND = (
    "bash -c 'install -o postgres -m 600 /tls/server.key /tmp/server.key && exec docker-entrypoint.sh postgres"
    " -c fsync=off -c ssl=on -c ssl_cert_file=/tls/server.pem -c ssl_key_file=/tmp/server.key{more}'"
)
POSTGRES_ASKING = " -c ssl_ca_file=/tls/authority.pem -c hba_file=/tls/pg_hba.conf"
USERS = ("test", "postgres")
"""Of RabbitMQ and of PostgreSQL: whom the clients' certificates name."""


def certify(folder: Path) -> None:
    """Write authority.pem, stranger.pem, another authority, and pairs of server and users. Raises Unavailable."""
    if shutil.which("openssl") is None:
        raise Unavailable("openssl is not installed")
    for name in ("authority", "stranger"):
        files = f"-keyout {name}.key -out {name}.pem"
        _openssl(folder, f"req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN={name} {files} {MAY_SIGN}")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    for name in ("server", *USERS):
        _openssl(folder, f"req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr")
        signed = f"-CA authority.pem -CAkey authority.key -CAcreateserial -extfile names -out {name}.pem"
        _openssl(folder, f"x509 -req -days 1 -in {name}.csr {signed}")
    folder.chmod(0o755)  # the containers' users must get there
    (folder / "server.key").chmod(0o644)
    (folder / "rabbitmq.conf").write_text(RABBITMQ_CONF)
    (folder / "asking.conf").write_text(RABBITMQ_CONF + ASKING_CONF)
    (folder / "enabled_plugins").write_text(ASKING_PLUGINS)
    (folder / "pg_hba.conf").write_text(ASKING_HBA)


class TlsPostgres(PostgresContainer):
    """Connects with or without TLS, as the client likes; `url` insists on TLS.

    If it is `asking`, only TLS with a certificate of the user leads to the databases that are created later.
    """

    def __init__(self, folder: Path, *, asking: bool = False) -> None:
        super().__init__()
        self._folder, self._asking = folder, asking
        self._container.with_command(POSTGRES_COMMAND.format(more=POSTGRES_ASKING if asking else ""))
        self._container.with_volume_mapping(str(folder), "/tls", "ro")

    async def start(self) -> None:
        await super().start()
        self.url += f"?sslmode=verify-full&sslrootcert={self._folder}/authority.pem"
        if self._asking:
            self.url += f"&sslcert={self._folder}/postgres.pem&sslkey={self._folder}/postgres.key"


class TlsRabbitMQ(RabbitMQContainer):
    """`url` is that of the TLS listener, which insists on a certificate if it is `asking`."""

    def __init__(self, folder: Path, *, asking: bool = False) -> None:
        super().__init__()
        self._folder, self._asking = folder, asking
        self._container.with_bind_ports(RABBITMQ_TLS_PORT, free_port())
        self._container.with_volume_mapping(str(folder), "/tls", "ro")
        conf = "asking.conf" if asking else "rabbitmq.conf"
        self._container.with_volume_mapping(f"{folder}/{conf}", "/etc/rabbitmq/conf.d/20-tls.conf", "ro")
        if asking:
            self._container.with_volume_mapping(f"{folder}/enabled_plugins", "/etc/rabbitmq/enabled_plugins", "ro")

    async def start(self) -> None:
        await super().start()
        user, _, _ = urlsplit(self.url).netloc.rpartition("@")
        authority = quote(f"{self._folder}/authority.pem")
        self.url = f"amqps://{user}@{self.address(RABBITMQ_TLS_PORT)}/?cafile={authority}"
        if self._asking:
            self.url += f"&certfile={quote(f'{self._folder}/test.pem')}&keyfile={quote(f'{self._folder}/test.key')}"


def _openssl(folder: Path, arguments: str) -> None:
    subprocess.run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True)
