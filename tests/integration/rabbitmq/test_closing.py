"""A connection is closed in time and for good, also in the moment in which it opens."""

import asyncio
from contextlib import suppress

import aiormq
import pytest
from aio_pika.abc import UnderlayConnection
from pamqp.commands import Queue as QueueCommands
from yarl import URL

from messages.transport import cancelling
from messages.transport.edge.connection import connected
from messages.transport.rabbitmq import channel_consumer, fast_connection
from messages.transport.rabbitmq import connection as rabbitmq_connection
from messages.transport.rabbitmq.connection import SupervisedConnection, close_quietly, open_channel
from messages.transport.rabbitmq.fast_channel import FastChannel
from messages.transport.rabbitmq.fast_connection import CLOSE_SECONDS, CONNECT_SECONDS
from messages.transport.rabbitmq.frames import HEARTBEAT
from messages.transport.rabbitmq.topology import declare
from tests.conftest import NewVhost
from tests.integration.broker.carriers import PATIENCE_SECONDS, TOPOLOGY, Rabbit, Reader, envelope, until
from tests.integration.network import Network
from tests.servers.management import Management

pytestmark = pytest.mark.rabbitmq


async def test_a_connection_whose_closing_nobody_answers_is_closed(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aio-pika closes what it takes for open once more while Python collects it, where there may be no loop."""
    monkeypatch.setattr(rabbitmq_connection, "CLOSE_SECONDS", 0.2)
    link = SupervisedConnection(network.url, "test")
    link.start()
    connection = await link.connection()
    network.freeze()
    await link.close()
    assert connection.is_closed


async def test_a_connection_is_closed_in_time_though_nobody_reads_what_was_sent(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancelling, "CANCEL_AGAIN_SECONDS", 60.0)
    link = SupervisedConnection(network.url, "test")
    link.start()
    connection = await link.connection()
    network.freeze()
    connection.lane.write(HEARTBEAT * 2_000_000)
    async with asyncio.timeout(3 * CLOSE_SECONDS):
        await link.close()
    assert connection.is_closed


async def test_whoever_is_cancelled_in_the_moment_in_which_a_channel_closes_is_cancelled(network: Network) -> None:
    """Otherwise whoever orders, and is told to stop, would go on."""
    link = SupervisedConnection(network.url, "test")
    link.start()
    channel = await open_channel(await link.connection(), confirms=False)
    closing = asyncio.create_task(close_quietly(channel))
    channel.closing.add_done_callback(lambda _: closing.cancel())
    with pytest.raises(asyncio.CancelledError):
        await closing
    await link.close()


async def test_a_connection_is_closed_in_the_moment_in_which_it_opens(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncio.wait_for, in aiormq's connect, drops a cancellation that comes together with its result."""
    monkeypatch.setattr(cancelling, "CANCEL_AGAIN_SECONDS", 0.2)
    connect = fast_connection.FastConnection.connect
    connecting = asyncio.Event()

    async def connect_all_the_same(
        connection: fast_connection.FastConnection,
        timeout: float | None = None,  # noqa: ASYNC109 - the name under which aio-pika takes it
    ) -> None:
        opening = asyncio.create_task(connect(connection, timeout))
        connecting.set()
        with suppress(asyncio.CancelledError):
            await asyncio.shield(opening)
        await opening

    monkeypatch.setattr(fast_connection.FastConnection, "connect", connect_all_the_same)
    link = SupervisedConnection(network.url, "test")
    link.start()
    await connecting.wait()
    async with asyncio.timeout(CLOSE_SECONDS):
        await link.close()
    with pytest.raises(ConnectionError):
        await link.connection()


@pytest.mark.parametrize("turns", range(4))
async def test_connecting_is_cancelled_also_in_the_moment_in_which_it_succeeds(
    network: Network, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    """So many turns of the event loop later."""
    connect = aiormq.Connection.connect

    async def connect_and_cancel(underlay: aiormq.Connection) -> bool:
        connected: bool = await connect(underlay)
        cancel_after(turns, connecting)
        return connected

    async def connect_and_stay() -> None:
        await connection.connect(timeout=CONNECT_SECONDS)
        await asyncio.Event().wait()

    monkeypatch.setattr(aiormq.Connection, "connect", connect_and_cancel)
    connection = fast_connection.FastConnection(URL(network.url))
    connecting = asyncio.create_task(connect_and_stay())
    done, _ = await asyncio.wait({connecting}, timeout=PATIENCE_SECONDS)
    assert done
    await connection.close()
    await until(lambda: not network.connections)


@pytest.mark.parametrize("turns", range(4))
async def test_declaring_is_cancelled_also_in_the_moment_of_an_answer(
    network: Network, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    """So many turns of the event loop later."""
    get = asyncio.Queue.get

    async def get_and_cancel(queue: "asyncio.Queue[object]") -> object:
        frame = await get(queue)
        if isinstance(frame, QueueCommands.BindOk):
            cancel_after(turns, declaring)
        return frame

    async def declare_and_stay() -> None:
        await declare(connection, TOPOLOGY)
        await asyncio.Event().wait()

    async with fast_connection.FastConnection(URL(network.url)) as connection:
        await connection.connect()
        monkeypatch.setattr(asyncio.Queue, "get", get_and_cancel)
        declaring = asyncio.create_task(declare_and_stay())
        done, _ = await asyncio.wait({declaring}, timeout=PATIENCE_SECONDS)
        monkeypatch.undo()
        declaring.cancel()
    assert done


async def test_a_connection_that_aiormq_opened_and_aio_pika_does_not_know_of_is_closed(network: Network) -> None:
    """So it is where connecting is cancelled between both."""
    connection = fast_connection.FastConnection(URL(network.url))
    await UnderlayConnection.make_connection(connection.url, **connection.kwargs)
    assert network.connections == 1
    await connection.close()
    await until(lambda: not network.connections)


async def test_channels_that_come_and_go_leave_nothing_on_their_connection(network: Network) -> None:
    link = SupervisedConnection(network.url, "test")
    link.start()
    connection = await link.connection()
    assert connection.transport is not None
    closing = connection.transport.connection._closing  # type: ignore[attr-defined]
    before = len(closing._callbacks)
    for _ in range(50):
        await close_quietly((await FastChannel.on(connection, confirms=True)).underlay)
    await until(lambda: len(closing._callbacks) == before)
    await link.close()


async def test_closing_is_no_failure_of_what_is_given_back(
    new_vhost: NewVhost, management_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before RabbitMQ 4.3, which tells giving back from failing, it counts like the loss of a consumer."""
    monkeypatch.setattr(channel_consumer, "CLOSE_SECONDS", PATIENCE_SECONDS)
    carrier = Rabbit(await new_vhost())
    await carrier.declare()
    closing, other = await carrier.broker(), await carrier.broker()
    held = await Reader.of(closing, "work")
    await closing.publish([envelope()])
    await held.take(1)
    await closing.close()
    counts_only_failures = await Management(management_url).version() >= (4, 3)
    again = await (await Reader.of(other, "work")).take(1)
    assert again[0].failures == (0 if counts_only_failures else 1)
    await carrier.close()


def cancel_after(turns: int, task: "asyncio.Task[None]") -> None:
    if turns:
        asyncio.get_running_loop().call_soon(cancel_after, turns - 1, task)
    else:
        task.cancel()


async def test_a_client_that_is_done_leaves_no_connection(new_vhost: NewVhost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIENT_BROKER_URL", await new_vhost())
    async with connected("test") as broker:
        await until(lambda: broker.connected)
    assert not broker.connected
