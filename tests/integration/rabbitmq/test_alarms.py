"""While RabbitMQ is low on memory or disk and blocks a connection, the broker is not connected."""

import asyncio

import pytest
from structlog.testing import capture_logs

from messages.transport.rabbitmq.broker import RabbitBroker
from messages.transport.rabbitmq.publisher import SILENT_TIMEOUTS
from tests.integration.broker.carriers import envelope, until
from tests.integration.network import Network
from tests.integration.rabbitmq.probing import in_a_hurry

pytestmark = pytest.mark.rabbitmq


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


async def test_the_log_says_why_a_connection_is_blocked_and_when_no_more(
    broker: RabbitBroker, network: Network
) -> None:
    with capture_logs() as logs:
        network.say_blocked(": publishing")
        await until(lambda: not broker.connected)
        network.say_unblocked(": publishing")
        await until(lambda: broker.connected)
    assert [line["event"] for line in logs] == ["broker blocks publishing", "broker blocks publishing no more"]
    assert logs[0]["reason"] == "low on memory"
    assert logs[0]["link"].endswith(": publishing")


async def test_a_new_connection_is_not_blocked_because_the_lost_one_was(broker: RabbitBroker, network: Network) -> None:
    network.say_blocked(": consuming")
    await until(lambda: not broker.connected)
    network.flicker()
    await until(lambda: broker.connected)


async def test_a_connection_that_is_blocked_is_kept_and_no_channels_pile_up_on_it(
    broker: RabbitBroker, network: Network
) -> None:
    """Each that is given up there is kept until the alarm is over: in hours that was gigabytes."""
    assert await broker.publish([envelope()]) == [True]
    connection = await broker._publishing.connection()
    assert connection.transport is not None
    channels = connection.transport.connection.channels
    network.say_blocked(": publishing")
    await until(lambda: not broker._publishing.usable)
    network.freeze()
    with in_a_hurry(broker, 0.2):
        for _ in range(3 * SILENT_TIMEOUTS):
            assert not any(await broker.publish([envelope()]))
    assert len(channels) == 1  # that on which the first was late
    network.thaw()
    publishing = asyncio.create_task(broker.publish([envelope()]))
    network.say_unblocked(": publishing")
    assert await publishing == [True]
    assert await broker._publishing.connection() is connection
