"""What only a real broker and a real network can do to a process, and how it comes back."""

import asyncio
import logging
import socket
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import quote, urlsplit

import aio_pika
import aiormq
import pytest
from aio_pika.abc import UnderlayConnection
from pamqp.commands import Basic
from pamqp.commands import Queue as QueueCommands
from pamqp.common import FieldValue
from structlog.testing import capture_logs
from yarl import URL

from messages.transport import cancelling
from messages.transport.addresses import ANSWERS, OUTCOMES, REQUESTS, Address
from messages.transport.backoff import Backoff
from messages.transport.broker import MANY_DOCUMENTS, ONE_DOCUMENT, Envelope
from messages.transport.rabbitmq import connection as rabbitmq_connection
from messages.transport.rabbitmq import fast_lane
from messages.transport.rabbitmq.broker import RabbitBroker
from messages.transport.rabbitmq.connection import SupervisedConnection, close_quietly
from messages.transport.rabbitmq.fast_channel import FastChannel
from messages.transport.rabbitmq.fast_lane import CLOSE_SECONDS, CONNECT_SECONDS
from messages.transport.rabbitmq.frames import HEARTBEAT
from messages.transport.rabbitmq.subscription import RabbitSubscription
from messages.transport.rabbitmq.topology import declare
from messages.transport.strict_json import DOCUMENT_BYTES
from tests.conftest import NewVhost
from tests.integration.carriers import ASKED, TOPOLOGY, Rabbit, Reader, bodies, envelope, eventually, until
from tests.integration.network import Network
from tests.servers.containers import RabbitMQContainer
from tests.servers.management import Management
from tests.servers.server import Broker as Server

pytestmark = pytest.mark.rabbitmq

TIMEOUT_SECONDS = 1.0


@pytest.fixture
async def network(new_vhost: NewVhost) -> AsyncIterator[Network]:
    async with Network(await new_vhost()) as network:
        yield network


@pytest.fixture
async def broker(network: Network) -> AsyncIterator[RabbitBroker]:
    broker = RabbitBroker(network.url, topology=TOPOLOGY, publish_timeout_seconds=TIMEOUT_SECONDS)
    await broker.start()
    await Reader.of(broker, "other")
    await until(lambda: broker.connected)
    yield broker
    await broker.close()


async def test_a_server_that_is_down_at_the_start_is_waited_for(new_vhost: NewVhost) -> None:
    network = Network(await new_vhost())
    await network.plug_in()
    await network.unplug()
    broker = RabbitBroker(network.url, topology=TOPOLOGY, publish_timeout_seconds=TIMEOUT_SECONDS)
    await broker.start()
    reader = await Reader.of(broker, "work")
    began = time.monotonic()
    assert await broker.publish([envelope(), envelope()]) == [False, False]
    assert time.monotonic() - began < 3 * TIMEOUT_SECONDS
    assert not broker.connected
    await network.plug_in()
    await until(lambda: broker.connected)
    await _until_published(broker)
    assert bodies(await reader.take(1)) == ["probe"]
    await broker.close()
    await network.unplug()


async def test_of_several_addresses_one_that_is_silent_does_not_keep_it_from_the_others(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_lane, "CONNECT_SECONDS", 2.0)
    monkeypatch.setattr(fast_lane, "shuffle", lambda _: None)
    port = urlsplit(network.url).port
    with silent_address() as silent:

        async def both(*_: object, **__: object) -> list[tuple[object, ...]]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (silent, ("127.0.0.1", port))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
        link = SupervisedConnection(network.url, "test")
        link.start()
        async with asyncio.timeout(5):
            await link.connection()
    await link.close()


@contextmanager
def silent_address() -> Iterator[tuple[str, int]]:
    """Where whoever connects is not answered: all who may wait there do already."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as waiting:
        for _ in range(3):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)  # noqa: FBT003  it has no other name
            client.connect_ex(server.getsockname())
        yield server.getsockname()


async def test_a_connection_that_the_server_closes_is_opened_again(
    broker: RabbitBroker, network: Network, management_url: str
) -> None:
    reader = await Reader.of(broker, "work")
    await broker.publish([envelope("a")])
    await reader.take(1)
    await _close_all_connections(Management(management_url), urlsplit(network.url).path[1:])
    await until(lambda: not broker.connected)
    await until(lambda: broker.connected)
    assert [arrival.failures for arrival in await reader.take(1)] == [1]
    assert await broker.publish([envelope("b")]) == [True]
    assert bodies(await reader.take(1)) == ["b"]


async def test_publishing_over_a_network_that_breaks_says_false_and_never_raises(
    broker: RabbitBroker, network: Network
) -> None:
    """aiormq lets publishers of a dying connection see a CancelledError that nobody asked for."""
    network.freeze()
    publishing = [asyncio.create_task(broker.publish([envelope() for _ in range(100)])) for _ in range(5)]
    await asyncio.sleep(0)
    network.flicker()
    assert await asyncio.gather(*publishing) == [[False] * 100] * 5
    network.thaw()
    await until(lambda: broker.connected)
    assert await broker.publish([envelope()]) == [True]


async def test_who_waits_for_confirms_hears_at_once_that_the_connection_is_lost(network: Network) -> None:
    broker = RabbitBroker(network.url, topology=TOPOLOGY, publish_timeout_seconds=60)
    await broker.start()
    assert await broker.publish([envelope()]) == [True]
    network.freeze()
    publishing = [asyncio.create_task(broker.publish([envelope(), envelope()])) for _ in range(2)]
    await asyncio.sleep(0)
    network.flicker()
    async with asyncio.timeout(20):
        assert await asyncio.gather(*publishing) == [[False, False]] * 2
    network.thaw()
    await broker.close()


async def test_a_frozen_network_costs_a_publisher_the_timeout_and_not_for_ever(
    broker: RabbitBroker, network: Network
) -> None:
    assert await broker.publish([envelope()]) == [True]
    network.freeze()
    for _ in range(2):
        began = time.monotonic()
        assert await broker.publish([envelope("again and again")]) == [False]
        assert time.monotonic() - began < 3 * TIMEOUT_SECONDS
    network.thaw()
    await _until_published(broker)


async def test_who_publishes_in_vain_does_not_flood_the_log(broker: RabbitBroker, network: Network) -> None:
    assert await broker.publish([envelope()]) == [True]
    network.freeze()
    with capture_logs() as logs:
        for _ in range(2):
            await asyncio.gather(*(broker.publish([envelope()]) for _ in range(5)))
    network.thaw()
    told = Counter(line["event"] for line in logs)
    assert (told["publishing failed"], told["no channel to publish on"]) == (1, 1)


async def test_a_channel_that_owed_a_confirm_is_replaced_and_closed(
    broker: RabbitBroker, network: Network, management_url: str
) -> None:
    """Otherwise the return of what was said in vain would be taken for that of what is said under its id again."""
    assert await broker.publish([envelope()]) == [True]
    network.freeze()
    assert await broker.publish([envelope(to=Address(ANSWERS, "nobody"), message_id="same")]) == [False]
    again = asyncio.create_task(broker.publish([envelope(message_id="same")]))
    await asyncio.sleep(0.1)
    network.thaw()
    assert await again == [True]
    management, path = Management(management_url), f"vhosts/{urlsplit(network.url).path[1:]}/channels"

    async def one_each() -> bool:
        return len(await management.call("GET", path)) == 2

    await eventually(one_each)


@pytest.mark.usefixtures("broker")
async def test_channels_that_owed_a_confirm_are_not_kept(network: Network) -> None:
    """Where nothing is declared, no other channel takes their numbers."""
    expecting = RabbitBroker(network.url, publish_timeout_seconds=TIMEOUT_SECONDS)
    await expecting.start()
    passengers = set()
    for _ in range(3):
        await _until_published(expecting)
        passengers |= set((await expecting._publishing.connection()).lane._handlers)
        network.freeze()
        assert await expecting.publish([envelope()]) == [False]
        network.thaw()
    await _until_published(expecting)
    lane = (await expecting._publishing.connection()).lane
    assert len(passengers) > 3, "the numbers are used again: then nothing is shown here"
    await until(lambda: len(lane._handlers) == 2)
    await expecting.close()


async def test_a_server_that_falls_silent_is_given_up_after_three_heartbeats(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for it then sees a CancelledError that nobody asked for, and must not die of it."""
    monkeypatch.setattr(rabbitmq_connection, "HEARTBEAT_SECONDS", 1)
    broker = RabbitBroker(network.url, topology=TOPOLOGY, publish_timeout_seconds=30)
    await broker.start()
    await Reader.of(broker, "other")
    assert await broker.publish([envelope()]) == [True]
    await until(lambda: broker.connected)
    network.freeze()
    with capture_logs() as logs:
        publishing = asyncio.create_task(broker.publish([envelope()]))
        reader = await Reader.of(broker, "work")
        assert await publishing == [False]
    assert {line["error"] for line in logs if line["event"] == "broker connection lost"} == {
        "it was silent for too long, or closed here"
    }
    assert "CancelledError" not in str(logs)
    network.thaw()
    await until(lambda: broker.connected)
    assert await reader.take(1)
    await broker.close()


async def test_outcomes_have_a_connection_of_their_own_from_the_first_of_them_on(
    broker: RabbitBroker, network: Network
) -> None:
    assert await broker.publish([envelope()]) == [True]
    assert network.connections == 2
    for _ in range(2):
        assert (
            await broker.publish([envelope(), envelope("late", Address(OUTCOMES, "unread"), mandatory=False)])
            == [True] * 2
        )
        assert network.connections == 3


async def test_a_closed_broker_opens_no_connection_for_an_outcome(network: Network) -> None:
    broker = RabbitBroker(network.url, topology=TOPOLOGY, publish_timeout_seconds=TIMEOUT_SECONDS)
    await broker.start()
    await until(lambda: broker.connected)
    await broker.close()
    assert await broker.publish([envelope("late", Address(OUTCOMES, "unread"), mandatory=False)]) == [False]
    await asyncio.sleep(0.1)
    assert network.connections == 0


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


async def test_a_connection_is_closed_in_the_moment_in_which_it_opens(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncio.wait_for, in aiormq's connect, drops a cancellation that comes together with its result."""
    monkeypatch.setattr(cancelling, "CANCEL_AGAIN_SECONDS", 0.2)
    connect = fast_lane.FastConnection.connect
    connecting = asyncio.Event()

    async def connect_all_the_same(
        connection: fast_lane.FastConnection,
        timeout: float | None = None,  # noqa: ASYNC109 - the name under which aio-pika takes it
    ) -> None:
        opening = asyncio.create_task(connect(connection, timeout))
        connecting.set()
        with suppress(asyncio.CancelledError):
            await asyncio.shield(opening)
        await opening

    monkeypatch.setattr(fast_lane.FastConnection, "connect", connect_all_the_same)
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
    connection = fast_lane.FastConnection(URL(network.url))
    connecting = asyncio.create_task(connect_and_stay())
    done, _ = await asyncio.wait({connecting}, timeout=2)
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

    async with fast_lane.FastConnection(URL(network.url)) as connection:
        await connection.connect()
        monkeypatch.setattr(asyncio.Queue, "get", get_and_cancel)
        declaring = asyncio.create_task(declare_and_stay())
        done, _ = await asyncio.wait({declaring}, timeout=2)
        monkeypatch.undo()
        declaring.cancel()
    assert done


def cancel_after(turns: int, task: "asyncio.Task[None]") -> None:
    if turns:
        asyncio.get_running_loop().call_soon(cancel_after, turns - 1, task)
    else:
        task.cancel()


async def test_a_connection_that_aiormq_opened_and_aio_pika_does_not_know_of_is_closed(network: Network) -> None:
    """So it is where connecting is cancelled between both."""
    connection = fast_lane.FastConnection(URL(network.url))
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
    assert len(closing._callbacks) == before
    await link.close()


async def test_a_connection_is_not_taken_for_dead_while_only_messages_come(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server with something to send sends no heartbeats, and aiormq does not see what it sends."""
    monkeypatch.setattr(rabbitmq_connection, "HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr(aiormq.Connection, "HEARTBEAT_GRACE_MULTIPLIER", 1)
    broker = RabbitBroker(network.url, topology=TOPOLOGY, publish_timeout_seconds=TIMEOUT_SECONDS)
    await broker.start()
    reader = await Reader.of(broker, "work")
    await until(lambda: broker.connected)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        assert await broker.publish([envelope()]) == [True]
        (arrival,) = await reader.take(1)
        assert arrival.failures == 0
        await reader.acknowledge(arrival)
    await broker.close()


async def test_a_publisher_that_is_cancelled_leaves_nothing_in_flight(broker: RabbitBroker, network: Network) -> None:
    assert await broker.publish([envelope()]) == [True]
    network.freeze()
    publishing = asyncio.create_task(broker.publish([envelope(message_id="mine")]))
    await asyncio.sleep(0.1)
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    network.thaw()
    assert await broker.publish([envelope(message_id="mine")]) == [True]


async def test_an_exchange_that_is_missing_fails_its_envelopes_and_later_ones_go_through(broker: RabbitBroker) -> None:
    missing = envelope(to=Address("no_such_exchange", "key"), mandatory=False)
    assert await broker.publish([missing]) == [False]
    assert await broker.publish([envelope()]) == [True]


async def test_a_full_queue_refuses_what_the_others_accept(network: Network, broker: RabbitBroker) -> None:
    async with await aio_pika.connect(network.url) as connection, connection.channel() as channel:
        full: dict[str, FieldValue] = {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"}
        queue = await channel.declare_queue("full", durable=True, arguments=full)
        await queue.bind(ANSWERS, "full")
    to_full = Address(ANSWERS, "full")

    async def refused() -> bool:
        return await broker.publish([envelope(to=to_full)]) == [False]

    await eventually(refused)
    assert await broker.publish([envelope(to=to_full), envelope(), envelope(to=to_full)]) == [False, True, False]


async def test_a_listener_who_takes_no_more_keeps_it_from_nobody_else(network: Network, broker: RabbitBroker) -> None:
    full: dict[str, FieldValue] = {"x-queue-type": "classic", "x-max-length": 1, "x-overflow": "reject-publish"}
    async with await aio_pika.connect(network.url) as connection, connection.channel() as channel:
        for name in ("full", "listening"):
            queue = await channel.declare_queue(name, durable=True, arguments=full if name == "full" else None)
            await queue.bind(OUTCOMES, "order_placed")
    told = [envelope(to=Address(OUTCOMES, "order_placed"), mandatory=False) for _ in range(5)]
    *confirmed, needed = await broker.publish([*told, envelope()])
    assert (False in confirmed, needed) == (True, True)
    listening = await Reader.of(broker, "listening")
    assert bodies(await listening.take(5)) == [each.body.decode() for each in told]


async def test_a_listener_whose_queue_has_no_leader_holds_up_nobody_for_long(own_rabbitmq: Server) -> None:
    """RabbitMQ then reads nothing more from a connection that has published to it, and says nothing of it."""
    if not isinstance(own_rabbitmq, RabbitMQContainer):
        pytest.skip("a queue is robbed of its leader by a command in a container")
    broker = RabbitBroker(own_rabbitmq.url, topology=TOPOLOGY, publish_timeout_seconds=2 * TIMEOUT_SECONDS)
    await broker.start()
    await _until_published(broker)
    async with await aio_pika.connect(own_rabbitmq.url) as connection, connection.channel() as channel:
        queue = await channel.declare_queue("stuck", durable=True, arguments={"x-queue-type": "quorum"})
        await queue.bind(OUTCOMES, "order_placed")
    told = Address(OUTCOMES, "order_placed")
    assert await broker.publish([envelope(to=told, mandatory=False)]) == [True]
    await own_rabbitmq.evaluate("ra:stop_server(quorum_queues, {'%2F_stuck', node()}).")
    assert not any(await broker.publish([envelope(to=told, mandatory=False) for _ in range(600)]))
    for _ in range(3):
        assert await broker.publish([envelope()]) == [True]
    to_others = [envelope(to=Address(OUTCOMES, "others.placed"), mandatory=False)]

    async def others_hear() -> bool:
        return await broker.publish(to_others) == [True]

    with capture_logs() as logs:
        await eventually(others_hear)
    assert "broker connection given up" in [line["event"] for line in logs]
    await broker.close()


async def test_what_is_public_goes_by_a_connection_of_its_own(broker: RabbitBroker) -> None:
    nowhere = Address(ANSWERS, "nobody")
    mixed = [
        *(envelope(), envelope(to=Address(OUTCOMES, "unheard"), mandatory=False), envelope(to=nowhere)),
        *(envelope(), envelope(to=Address(OUTCOMES, "unheard"), mandatory=False), envelope(to=nowhere)),
    ]
    assert await broker.publish(mixed) == [True, True, False] * 2
    lanes = [publisher._channel and publisher._channel.underlay for publisher in (broker._needed, broker._public)]
    assert None not in lanes
    assert lanes[0].connection is not lanes[1].connection  # type: ignore[union-attr]


@pytest.mark.parametrize("link", ["publishing", "consuming"])
async def test_while_an_alarm_blocks_one_of_its_connections_the_broker_is_not_connected(
    broker: RabbitBroker, network: Network, link: str
) -> None:
    network.say_blocked(f": {link}")
    await until(lambda: not broker.connected)
    assert (broker._publishing.usable, broker._consuming.usable) == (link == "consuming", link == "publishing")
    network.say_unblocked(f": {link}")
    await until(lambda: broker.connected)
    assert await broker.publish([envelope()]) == [True]


async def test_a_new_connection_is_not_blocked_because_the_lost_one_was(broker: RabbitBroker, network: Network) -> None:
    network.say_blocked(": consuming")
    await until(lambda: not broker.connected)
    network.flicker()
    await until(lambda: broker.connected)


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


async def test_one_consumer_has_everything_until_it_is_full_and_the_next_one_has_the_rest(
    broker: RabbitBroker, network: Network
) -> None:
    brokers = [
        RabbitBroker(network.url, consumer_priority=consumer_priority) for consumer_priority in (40_000, 900_000)
    ]
    for each in brokers:
        await each.start()
    second, first = await Reader.of(brokers[0], "work", prefetch=2), await Reader.of(brokers[1], "work", prefetch=3)
    await until(lambda: all(each.connected for each in brokers))
    assert all(await broker.publish([envelope("greeting"), envelope("greeting")]))  # who has just come is full with one
    for greeting, reader in [((await reader.take(1))[0], reader) for reader in (first, second)]:
        await reader.acknowledge(greeting)
    assert all(await broker.publish([envelope(f"{number}") for number in range(5)]))
    held, rest = await first.take(3), await second.take(2)
    assert bodies(held) + bodies(rest) == list("01234")
    await first.acknowledge(held[-1])
    assert all(await broker.publish([envelope("5"), envelope("6")]))
    assert bodies(await first.take(2)) == ["5", "6"]
    await second.acknowledge(rest[-1])
    await brokers[1].close()
    assert sorted(bodies(await second.take(2))) == ["5", "6"]
    await brokers[0].close()


async def test_of_what_a_client_sends_no_more_is_kept_than_tells_that_it_is_too_large(broker: RabbitBroker) -> None:
    reader = await Reader.of(broker, "asked")
    flood, ours = "1\n" * DOCUMENT_BYTES, envelope("x" * 2 * DOCUMENT_BYTES, ASKED)
    provenance_of = Envelope(Address(REQUESTS, "asked.for"), flood.encode(), MANY_DOCUMENTS, "flood")
    assert await broker.publish([provenance_of, ours]) == [True, True]
    cut, whole = await reader.take(2)
    assert (len(cut.body), cut.content_type) == (DOCUMENT_BYTES + 1, ONE_DOCUMENT)
    assert whole.body == ours.body


async def test_a_client_cannot_pass_a_fresh_message_off_as_one_that_failed(
    broker: RabbitBroker, network: Network
) -> None:
    reader = await Reader.of(broker, "work")
    await until(lambda: broker.connected)
    async with await aio_pika.connect(network.url) as connection, connection.channel() as channel:
        await channel.default_exchange.publish(aio_pika.Message(b"{}", headers={"x-delivery-count": 9}), "work")
    assert [arrival.failures for arrival in await reader.take(1)] == [0]


async def test_what_is_on_its_way_when_a_subscription_is_stopped_is_not_taken(broker: RabbitBroker) -> None:
    reader = await _flooded(broker)
    await reader.take(2)
    await reader.subscription.stop()
    taken = len(reader.waiting)
    other = await Reader.of(broker, "placed")
    for _ in range(2):
        await broker.publish([envelope(to=Address(OUTCOMES, "order_placed"))])
        await other.take(1)
    assert len(reader.waiting) == taken < 1_900


async def test_what_is_on_its_way_when_a_consumer_is_lost_is_dropped_with_its_channel(broker: RabbitBroker) -> None:
    reader = await _flooded(broker)
    subscription = reader.subscription
    assert isinstance(subscription, RabbitSubscription)
    first, _ = await reader.take(2)
    lost = subscription._epoch
    assert first.epoch is lost
    assert lost is not None
    for told in lost.channel.underlay.on_consumer_cancel_callbacks:
        told(Basic.Cancel("consumer"))
    await until(lambda: subscription._epoch not in (lost, None))
    arrivals = await reader.take(2_000)
    assert {arrival.epoch for arrival in arrivals} == {subscription._epoch}
    assert len(set(bodies(arrivals))) == 2_000


async def _flooded(broker: RabbitBroker) -> Reader:
    """One to whom 2,000 are on their way: whoever has just come is full with one, until he has acknowledged it."""
    await broker.publish([envelope("greeting"), *(envelope("x" * 1000 + str(number)) for number in range(2_000))])
    reader = await Reader.of(broker, "work", prefetch=2_000)
    await reader.acknowledge((await reader.take(1))[0])
    return reader


async def test_an_existing_queue_with_other_arguments_is_named_and_waited_for(
    new_vhost: NewVhost, capsys: pytest.CaptureFixture[str]
) -> None:
    url = await new_vhost()
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        await channel.declare_queue("work", durable=True, arguments={"x-queue-type": "classic"})
        broker = RabbitBroker(url, topology=TOPOLOGY, publish_timeout_seconds=TIMEOUT_SECONDS)
        await broker.start()
        reader = await Reader.of(broker, "work")
        assert await broker.publish([envelope()]) == [False]
        assert not broker.connected
        await until(lambda: "for queue 'work'" in capsys.readouterr().out)
        await channel.queue_delete("work")
    await until(lambda: broker.connected)
    await broker.publish([envelope("now")])
    assert bodies(await reader.take(1)) == ["now"]
    await broker.close()


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
    broker = RabbitBroker(url, publish_timeout_seconds=TIMEOUT_SECONDS)
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


async def test_closing_is_no_failure_of_what_is_given_back(new_vhost: NewVhost, management_url: str) -> None:
    """Before RabbitMQ 4.3, which tells giving back from failing, it counts like the loss of a consumer."""
    carrier = Rabbit(await new_vhost())
    await carrier.declare()
    closing, other = await carrier.broker(), await carrier.broker()
    held = await Reader.of(closing, "work")
    await closing.publish([envelope()])
    await held.take(1)
    await closing.close()
    version = (await Management(management_url).call("GET", "overview"))["rabbitmq_version"]
    again = await (await Reader.of(other, "work")).take(1)
    assert again[0].failures == (0 if _number(version) >= (4, 3) else 1)
    await carrier.close()


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


async def test_a_server_that_is_killed_and_started_again_finds_everything_working(own_rabbitmq: Server) -> None:
    carrier = Rabbit(own_rabbitmq.url)
    await carrier.declare()
    broker = await carrier.broker()
    reader = await Reader.of(broker, "work")
    await broker.publish([envelope("before")])
    taken = await reader.take(1)
    await own_rabbitmq.kill()
    await until(lambda: not broker.connected)
    assert await broker.publish([envelope("meanwhile")]) == [False]
    await reader.acknowledge(taken[0])
    await own_rabbitmq.start()
    await _until_published(broker)
    assert bodies(await reader.take(2)) == ["before", "probe"]
    await carrier.close()


async def _until_published(broker: RabbitBroker) -> None:
    async def published() -> bool:
        return await broker.publish([envelope("probe")]) == [True]

    await eventually(published)


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
