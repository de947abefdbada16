"""Over TLS, and with certificates verified, all is as it is without."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from messages.transport import cancelling
from messages.transport.rabbitmq.broker import RabbitBroker
from messages.transport.rabbitmq.connection import SupervisedConnection
from messages.transport.rabbitmq.fast_connection import CLOSE_SECONDS
from messages.transport.rabbitmq.frames import HEARTBEAT
from tests.end_to_end import waiting
from tests.end_to_end.cell import Cell, Servers
from tests.end_to_end.daemons import SERVICES
from tests.integration.broker.carriers import TOPOLOGY, Reader, bodies, envelope, until
from tests.integration.network import Network
from tests.servers import containers
from tests.servers.server import Unavailable
from tests.servers.tls import TlsPostgres, TlsRabbitMQ, certify

pytestmark = pytest.mark.docker
BIG = "x" * 300_000
"""More than one record of TLS, and more than one read."""


@pytest.fixture(scope="module")
def certificates(docker: None, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001
    folder = tmp_path_factory.mktemp("tls")
    try:
        containers.look_for_rabbitmq()
        containers.look_for_postgres()
        certify(folder)
    except Unavailable as reason:
        pytest.skip(str(reason))
    return folder


@pytest.fixture(scope="module")
async def servers(certificates: Path) -> AsyncIterator[Servers]:
    """At 127.0.0.1, wherever Docker is: the certificate names nothing else."""
    async with _started(TlsRabbitMQ(certificates), TlsPostgres(certificates)) as servers:
        yield servers


@pytest.fixture
async def asking_servers(certificates: Path) -> AsyncIterator[Servers]:
    """They insist on a certificate; the URLs name one."""
    async with _started(TlsRabbitMQ(certificates, asking=True), TlsPostgres(certificates, asking=True)) as servers:
        yield servers


@pytest.fixture
async def network(servers: Servers) -> AsyncIterator[Network]:
    async with Network(servers.broker_url) as network:
        yield network


async def test_orders_are_placed_over_tls_to_both_servers(servers, new_cell):
    cell = await new_cell(servers)
    market = await cell.market(agents=2, milk=2)
    await cell.client.place(market.order(milk=1))
    for service in SERVICES:
        assert await _of_connections(cell, service, "ssl") == {True}
    await waiting.until(partial(_listed_as_encrypted, cell), "the broker lists all connections as encrypted")


async def test_a_certificate_of_a_stranger_is_refused_and_the_setting_named(servers, new_cell):
    cell = await new_cell(servers, start=False)
    for name, url in (("BROKER_URL", cell.broker_url), ("ORDER_SAGA_DATABASE_URL", cell.databases["order_saga"])):
        code, output = await cell.command("order_saga", "check", **{name: url.replace("authority", "stranger")})
        assert code == 1
        (line,) = [line for line in output.splitlines() if "CERTIFICATE_VERIFY_FAILED" in line]
        assert name in line
    assert await cell.command("order_saga", "migrate") == (0, "")
    code, output = await cell.command(
        "order_saga", "migrate", ORDER_SAGA_DATABASE_URL=url.replace("authority", "stranger")
    )
    assert code == 3
    assert "CERTIFICATE_VERIFY_FAILED" in output


async def test_servers_that_insist_on_a_certificate_get_that_of_the_url(asking_servers, new_cell):
    cell = await new_cell(asking_servers)
    market = await cell.market(agents=2, milk=2)
    await cell.client.place(market.order(milk=1))
    for service in SERVICES:
        assert await _of_connections(cell, service, "client_dn") == {"/CN=postgres"}
    _, _, place = cell.broker_url.rpartition("@")
    by_certificate = f"amqps://{place}&auth=EXTERNAL"
    code, output = await cell.command("order_saga", "check", BROKER_URL=by_certificate)
    assert (code, _problems(output)) == (0, [])
    for name, url, parameter in (
        ("BROKER_URL", cell.broker_url, "certfile"),
        ("ORDER_SAGA_DATABASE_URL", cell.databases["order_saga"], "sslcert"),
    ):
        code, output = await cell.command("order_saga", "check", **{name: url.partition(f"&{parameter}=")[0]})
        assert code == 1
        (line,) = _problems(output)
        assert name in line
        assert "certificate" in line


async def test_a_broker_over_tls_comes_back_from_a_network_that_breaks_and_loses_nothing(network):
    broker = RabbitBroker(network.url, topology=TOPOLOGY, publish_timeout_seconds=60.0)
    await broker.start()
    reader = await Reader.of(broker, "work")
    await until(lambda: broker.connected)
    for number in range(3):
        said = [f"{number} small", f"{number} {BIG}"]
        assert await broker.publish([envelope(body) for body in said]) == [True, True]
        assert bodies(await reader.take(2)) == said
        network.flicker()
        await until(lambda: not broker.connected)
        await until(lambda: broker.connected)
        again = await reader.take(2)
        assert sorted(bodies(again)) == said
        for arrival in again:
            await reader.acknowledge(arrival)
    await broker.close()


@pytest.mark.parametrize("unsent", [0, 20_000_000], ids=["idle", "with a full socket"])
async def test_a_connection_over_tls_is_closed_in_time_though_nobody_answers(network, unsent, monkeypatch):
    monkeypatch.setattr(cancelling, "CANCEL_AGAIN_SECONDS", 60.0)
    link = SupervisedConnection(network.url, "test")
    link.start()
    connection = await link.connection()
    network.freeze()
    connection.lane.write(HEARTBEAT * (unsent // len(HEARTBEAT)))
    began = time.monotonic()
    async with asyncio.timeout(10):
        await link.close()
    assert time.monotonic() - began < 3 * CLOSE_SECONDS
    assert connection.is_closed


@asynccontextmanager
async def _started(rabbitmq: TlsRabbitMQ, postgres: TlsPostgres) -> AsyncIterator[Servers]:
    try:
        await asyncio.gather(rabbitmq.start(), postgres.start())
        async with Network(rabbitmq.url) as broker, Network(postgres.url) as database:
            yield Servers(database.url, broker.url, rabbitmq.management_url)
    finally:
        await asyncio.gather(rabbitmq.remove(), postgres.remove())


async def _listed_as_encrypted(cell: Cell) -> bool:
    """All connections of daemons and client; the management plugin hears of them a little later."""
    connections = await cell.management.call("GET", f"vhosts/{cell.name}/connections")
    return [connection.get("ssl") for connection in connections] == [True] * 8


def _problems(output: str) -> list[str]:
    """What `check` prints, without its warning that these servers wait for no disk."""
    return [line for line in output.splitlines() if not line.startswith("warning: ")]


async def _of_connections(cell: Cell, service: str, column: str) -> set[object]:
    rows = await cell.rows(
        service,
        f"SELECT {column} FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
        " WHERE datname = current_database() AND backend_type = 'client backend'",
    )
    return {row[column] for row in rows}
