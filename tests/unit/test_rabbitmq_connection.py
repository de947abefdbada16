"""The error about a broker that cannot be reached has its address and the cause, and nothing of the user."""

import asyncio
from typing import Any

import pytest
from aio_pika.exceptions import AMQPConnectionError, ProbableAuthenticationError
from aiormq.exceptions import ConnectionNotAllowed
from structlog.testing import capture_logs

from messages.transport.rabbitmq import connection, fast_connection
from messages.transport.rabbitmq.connection import HEARTBEAT_SECONDS, SupervisedConnection
from messages.transport.rabbitmq.diagnosis import why_not_connected


@pytest.mark.parametrize(
    ("error", "url", "told"),
    [
        (TimeoutError(), "amqps://toy:hunter2@mq/saga", "the broker cannot be reached at mq:5671: TimeoutError"),
        (AMQPConnectionError("of toy"), "amqp://mq", "the broker cannot be reached at mq:5672: AMQPConnectionError"),
        (
            AMQPConnectionError(-2, "Name or service not known"),
            "amqp://toy:hunter2@mq:5/saga",
            "the broker cannot be reached at mq:5: Name or service not known",
        ),
        (
            ProbableAuthenticationError("ACCESS_REFUSED - user 'toy'"),
            "amqp://toy:hunter2@mq",
            "the broker refuses this user or password",
        ),
        (
            ConnectionNotAllowed("NOT_ALLOWED - access to vhost 'limited' refused for user 'toy'"),
            "amqp://toy:hunter2@mq/limited",
            "the virtual host does not exist, or this user may not access it",
        ),
        (
            ConnectionNotAllowed(
                "NOT_ALLOWED - connection refused for user 'toy': user connection limit (2) is reached"
            ),
            "amqp://toy:hunter2@mq",
            "the broker refuses one more connection: a limit of this user or of the virtual host is reached",
        ),
    ],
    ids=["silent", "in words of its own", "no such host", "refused", "no access", "limit"],
)
def test_who_asks_once_is_told_in_a_sentence(error: Exception, url: str, told: str) -> None:
    assert why_not_connected(error, url) == told


def test_a_broker_that_is_gone_is_noticed_within_half_a_minute() -> None:
    """Three heartbeats are missed first."""
    assert HEARTBEAT_SECONDS <= 10


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TimeoutError(), "TimeoutError"),
        (ConnectionError("no access for 'toy' by 'hunter2'"), "ConnectionError: no access for '***' by '***'"),
        (None, "it was silent for too long, or closed here"),
    ],
    ids=["silent", "refused", "closed"],
)
def test_the_log_is_told_what_was_said_if_anything_was(error: Exception | None, told: str) -> None:
    assert SupervisedConnection("amqp://toy:hunter2@mq", "test").describe(error) == told


async def test_a_server_that_accepts_connections_and_says_nothing_is_given_up_and_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.3)
    tried_again = asyncio.Event()
    accepted = 0

    async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        if accepted > 1:
            tried_again.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(be_silent, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        link = SupervisedConnection(f"amqp://{host}:{port}", "test")
        link.start()
        await asyncio.wait_for(tried_again.wait(), 60)
        await link.close()


async def test_the_log_says_of_a_server_that_accepts_connections_and_closes_them_that_it_closes_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As does a proxy whose broker is down."""
    open_at_once = fast_connection._Transports._open
    closed = asyncio.Event()

    async def be_closed(self: Any, *arguments: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await open_at_once(self, *arguments)
        while not reader.at_eof():  # noqa: ASYNC110  a reader has no event
            await asyncio.sleep(0)
        closed.set()
        return reader, writer

    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    monkeypatch.setattr(fast_connection._Transports, "_open", be_closed)
    async with await asyncio.start_server(close, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        link = SupervisedConnection(f"amqp://{host}:{port}", "test")
        with capture_logs() as logs:
            link.start()
            await asyncio.wait_for(closed.wait(), 60)
            while not logs:  # noqa: ASYNC110  a log has no event
                await asyncio.sleep(0.01)
        await link.close()
    assert logs[0]["event"] == "broker connection failed"
    assert logs[0]["error"] == "AMQPConnectionError: Server connection unexpectedly closed"
