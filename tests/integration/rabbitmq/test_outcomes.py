"""What is public goes by a connection of its own, and a listener who takes no more holds up nobody else."""

import asyncio

import aio_pika
import pytest
from pamqp.common import FieldValue
from structlog.testing import capture_logs

from messages.transport.addresses import OUTCOMES, Address
from messages.transport.rabbitmq import publisher
from messages.transport.rabbitmq.broker import RabbitBroker
from tests.integration.broker.carriers import TOPOLOGY, Reader, bodies, envelope, eventually, until
from tests.integration.network import Network
from tests.integration.rabbitmq.probing import TIMEOUT_SECONDS, in_a_hurry, until_published
from tests.servers.containers import RabbitMQContainer
from tests.servers.server import Broker as Server

pytestmark = pytest.mark.rabbitmq


async def test_outcomes_have_a_connection_of_their_own_from_the_first_of_them_on(
    broker: RabbitBroker, network: Network
) -> None:
    assert await broker.publish([envelope()]) == [True]
    assert network.connections == 2
    for _ in range(2):
        assert await broker.publish([envelope("late", Address(OUTCOMES, "unread"), mandatory=False)]) == [True]
        assert await broker.publish([envelope()]) == [True]
        assert network.connections == 3


async def test_a_closed_broker_opens_no_connection_for_an_outcome(network: Network) -> None:
    broker = RabbitBroker(network.url, topology=TOPOLOGY, publish_timeout_seconds=TIMEOUT_SECONDS)
    await broker.start()
    await until(lambda: broker.connected)
    await broker.close()
    accepted = network.accepted
    assert await broker.publish([envelope("late", Address(OUTCOMES, "unread"), mandatory=False)]) == [False]
    await asyncio.sleep(0.1)
    assert network.accepted == accepted
    await until(lambda: not network.connections)


async def test_a_listener_who_takes_no_more_keeps_it_from_nobody_else(network: Network, broker: RabbitBroker) -> None:
    full: dict[str, FieldValue] = {"x-queue-type": "classic", "x-max-length": 1, "x-overflow": "reject-publish"}
    async with await aio_pika.connect(network.url) as connection, connection.channel() as channel:
        for name in ("full", "listening"):
            queue = await channel.declare_queue(name, durable=True, arguments=full if name == "full" else None)
            await queue.bind(OUTCOMES, "order_placed")
    told = [envelope(to=Address(OUTCOMES, "order_placed"), mandatory=False) for _ in range(5)]
    confirmed, needed = await asyncio.gather(broker.publish(told), broker.publish([envelope()]))
    assert (False in confirmed, needed) == (True, [True])
    listening = await Reader.of(broker, "listening")
    assert bodies(await listening.take(5)) == [each.body.decode() for each in told]


async def test_a_listener_whose_queue_has_no_leader_holds_up_nobody_for_long(
    own_rabbitmq: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ then reads nothing more from a connection that has published to it, and says nothing of it."""
    if not isinstance(own_rabbitmq, RabbitMQContainer):
        pytest.skip("a queue is robbed of its leader by a command in a container")
    monkeypatch.setattr(publisher, "SILENT_TIMEOUTS", 1)  # each is long enough for a new connection on a busy machine
    broker = RabbitBroker(own_rabbitmq.url, topology=TOPOLOGY, publish_timeout_seconds=TIMEOUT_SECONDS)
    await broker.start()
    await until_published(broker)
    async with await aio_pika.connect(own_rabbitmq.url) as connection, connection.channel() as channel:
        queue = await channel.declare_queue("stuck", durable=True, arguments={"x-queue-type": "quorum"})
        await queue.bind(OUTCOMES, "order_placed")
    told = Address(OUTCOMES, "order_placed")
    assert await broker.publish([envelope(to=told, mandatory=False)]) == [True]
    await own_rabbitmq.evaluate("ra:stop_server(quorum_queues, {'%2F_stuck', node()}).")
    with in_a_hurry(broker):
        assert not any(await broker.publish([envelope(to=told, mandatory=False) for _ in range(600)]))
    for _ in range(3):
        assert await broker.publish([envelope()]) == [True]
    to_others = [envelope(to=Address(OUTCOMES, "others.placed"), mandatory=False)]

    async def others_hear() -> bool:
        return await broker.publish(to_others) == [True]

    with capture_logs() as logs, in_a_hurry(broker, 5.0):
        await eventually(others_hear)
    assert "broker connection given up" in [line["event"] for line in logs]
    await broker.close()
