"""While RabbitMQ is low on memory or disk and blocks a connection, the broker is not connected."""

import pytest
from structlog.testing import capture_logs

from messages.transport.rabbitmq.broker import RabbitBroker
from tests.integration.broker.carriers import envelope, until
from tests.integration.network import Network

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
