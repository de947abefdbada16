"""A server that is silent for three heartbeats is given up, and no other."""

import asyncio
import time

import aiormq
import pytest
from structlog.testing import capture_logs

from messages.transport.rabbitmq import connection as rabbitmq_connection
from messages.transport.rabbitmq.broker import RabbitBroker
from tests.integration.broker.carriers import TOPOLOGY, Reader, envelope, until
from tests.integration.network import Network
from tests.integration.rabbitmq.probing import TIMEOUT_SECONDS

pytestmark = pytest.mark.rabbitmq


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
