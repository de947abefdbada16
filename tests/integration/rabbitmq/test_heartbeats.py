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

LONG_SILENCE_SECONDS = 0.5
"""A machine that stands still for longer may well lose a connection with heartbeats every second."""


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
        await until(lambda: "broker connection lost" in [line["event"] for line in logs])
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
    for _ in range(10):
        connections = [await link.connection() for link in (broker._publishing, broker._consuming)]
        if await _longest_silence_of_three_seconds(broker, reader) < LONG_SILENCE_SECONDS:
            break
    else:
        pytest.fail("it was never said and heard so quickly that nothing but messages came")
    assert [link._connection for link in (broker._publishing, broker._consuming)] == connections
    await broker.close()


async def _longest_silence_of_three_seconds(broker: RabbitBroker, reader: Reader) -> float:
    longest, began = 0.0, time.monotonic()
    while (now := time.monotonic()) < began + 3:
        await broker.publish([envelope()])
        (arrival,) = await reader.take(1)
        await reader.acknowledge(arrival)
        longest = max(longest, time.monotonic() - now)
    return longest
