"""A server that is down, silent, or refuses us is tried again until it can be used, and no log line tells a secret."""

import asyncio
import logging
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import quote, urlsplit

import pytest
from structlog.testing import capture_logs

from messages.transport.backoff import Backoff
from messages.transport.rabbitmq import connection as rabbitmq_connection
from messages.transport.rabbitmq import fast_connection
from messages.transport.rabbitmq.broker import RabbitBroker
from messages.transport.rabbitmq.connection import SupervisedConnection
from tests.conftest import NewVhost
from tests.integration.broker.carriers import TOPOLOGY, Rabbit, Reader, bodies, envelope, eventually, until
from tests.integration.network import Network
from tests.integration.rabbitmq.probing import SHORT_SECONDS, TIMEOUT_SECONDS, in_a_hurry, until_published
from tests.servers.management import Management
from tests.servers.server import Broker as Server

pytestmark = pytest.mark.rabbitmq


async def test_a_server_that_is_down_at_the_start_is_waited_for(new_vhost: NewVhost) -> None:
    network = Network(await new_vhost())
    await network.plug_in()
    await network.unplug()
    broker = RabbitBroker(network.url, topology=TOPOLOGY, publish_timeout_seconds=TIMEOUT_SECONDS)
    await broker.start()
    reader = await Reader.of(broker, "work")
    began = time.monotonic()
    with in_a_hurry(broker):
        assert await broker.publish([envelope(), envelope()]) == [False, False]
    assert time.monotonic() - began < 3 * SHORT_SECONDS
    assert not broker.connected
    await network.plug_in()
    await until(lambda: broker.connected)
    await until_published(broker)
    assert bodies(await reader.take(1)) == ["probe"]
    await broker.close()
    await network.unplug()


async def test_of_several_addresses_one_that_is_silent_does_not_keep_it_from_the_others(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_connection, "CONNECT_SECONDS", 2.0)
    monkeypatch.setattr(fast_connection, "shuffle", lambda _: None)
    port = urlsplit(network.url).port
    with silent_address() as silent:

        async def both(*_: object, **__: object) -> list[tuple[object, ...]]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (silent, ("127.0.0.1", port))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
        link = SupervisedConnection(network.url, "test")
        link.start()
        async with asyncio.timeout(60):
            await link.connection()
    await link.close()


async def test_a_connection_that_the_server_closes_is_opened_again(
    broker: RabbitBroker, network: Network, management_url: str
) -> None:
    reader = await Reader.of(broker, "work")
    await broker.publish([envelope("a")])
    await reader.take(1)
    links = (broker._publishing, broker._consuming)
    closed = [await link.connection() for link in links]
    await _close_all_connections(Management(management_url), urlsplit(network.url).path[1:])
    await until(lambda: broker.connected and not {link._connection for link in links} & {*closed})
    assert [arrival.failures for arrival in await reader.take(1)] == [1]
    assert await broker.publish([envelope("b")]) == [True]
    assert bodies(await reader.take(1)) == ["b"]


async def test_each_loss_of_a_connection_that_was_open_is_tried_again_as_soon_as_the_first(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    backoff = Backoff(base_seconds=0.01, cap_seconds=0.01)
    monkeypatch.setattr(rabbitmq_connection, "reconnect_backoff", lambda: backoff)
    link = SupervisedConnection(network.url, "test")
    link.start()
    for _ in range(3):
        connection = await link.connection()
        network.flicker()
        await until(lambda lost=connection: link._connection is not lost)  # type: ignore[misc]
    await link.connection()
    assert backoff.tries == 0
    await link.close()


async def test_a_server_that_is_killed_and_started_again_finds_everything_working(own_rabbitmq: Server) -> None:
    carrier = Rabbit(own_rabbitmq.url)
    await carrier.declare()
    broker = await carrier.broker()
    reader = await Reader.of(broker, "work")
    await broker.publish([envelope("before")])
    taken = await reader.take(1)
    await own_rabbitmq.kill()
    await until(lambda: not broker.connected)
    with in_a_hurry(broker):
        assert await broker.publish([envelope("meanwhile")]) == [False]
    await reader.acknowledge(taken[0])
    await own_rabbitmq.start()
    await until_published(broker)
    assert bodies(await reader.take(2)) == ["before", "probe"]
    await carrier.close()


async def test_the_log_says_in_the_server_s_words_why_it_refuses_a_connection(
    new_vhost: NewVhost, management_url: str
) -> None:
    url = await new_vhost()
    limit = f"vhost-limits/{quote(urlsplit(url).path[1:], safe='')}/max-connections"
    await Management(management_url).call("PUT", limit, {"value": 0})
    link = SupervisedConnection(url, "test")
    with capture_logs() as logs:
        link.start()
        await until(lambda: bool(logs))
    await link.close()
    assert logs[0]["event"] == "broker connection failed"
    assert "connection limit (0) is reached" in logs[0]["error"]
    assert f"'{urlsplit(url).username}'" not in logs[0]["error"]


@pytest.mark.parametrize("known", [True, False])
async def test_no_log_line_tells_user_or_password(
    new_vhost: NewVhost,
    management_url: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    known: bool,
) -> None:
    """RabbitMQ itself names a user that it knows and keeps from a queue."""
    caplog.set_level(logging.INFO)
    management, user = Management(management_url), f"user-{uuid.uuid4().hex}"
    parts = urlsplit(await new_vhost())
    if known:
        await management.call("PUT", f"users/{user}", {"password": "some-secret", "tags": ""})
        nothing = {"configure": "^$", "write": "^$", "read": "^$"}
        await management.call("PUT", f"permissions/{parts.path[1:]}/{user}", nothing)
    url = parts._replace(netloc=f"{user}:some-secret@{parts.hostname}:{parts.port}").geturl()
    broker = RabbitBroker(url, publish_timeout_seconds=SHORT_SECONDS)
    await broker.start()
    await Reader.of(broker, "work")
    written = ""

    def refused() -> bool:
        nonlocal written
        written += capsys.readouterr().out
        return ("access to queue 'work'" if known else "broker connection failed") in written

    await until(refused)
    assert await broker.publish([envelope()]) == [False]
    await broker.close()
    if known:
        await management.call("DELETE", f"users/{user}")
    written += capsys.readouterr().out + caplog.text
    assert user not in written
    assert "some-secret" not in written


@contextmanager
def silent_address() -> Iterator[tuple[str, int]]:
    """Where whoever connects is not answered: all who may wait there do already."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as waiting:
        for _ in range(3):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)  # noqa: FBT003  it has no other name
            client.connect_ex(server.getsockname())
        yield server.getsockname()


async def _close_all_connections(management: Management, vhost: str) -> None:
    """Once the management plugin has noticed all."""
    path = f"vhosts/{quote(vhost, safe='')}/connections"
    names: list[str] = []

    async def seen() -> bool:
        names[:] = [connection["name"] for connection in await management.call("GET", path)]
        return len(names) == 2

    await eventually(seen)
    for name in names:
        await management.call("DELETE", f"connections/{quote(name, safe='')}")
