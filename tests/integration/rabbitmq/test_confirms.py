"""Who publishes is told within its time what was confirmed, whatever happens to network, channel or queue."""

import asyncio
import time
from collections import Counter
from urllib.parse import urlsplit

import aio_pika
import pytest
from pamqp.common import FieldValue
from structlog.testing import capture_logs

from messages.transport import log_throttle
from messages.transport.addresses import ANSWERS, Address
from messages.transport.rabbitmq import connection as rabbitmq_connection
from messages.transport.rabbitmq.broker import RabbitBroker
from tests.integration.broker.carriers import TOPOLOGY, envelope, eventually, until
from tests.integration.network import Network
from tests.integration.rabbitmq.probing import SHORT_SECONDS, TIMEOUT_SECONDS, in_a_hurry, until_published
from tests.servers.management import Management

pytestmark = pytest.mark.rabbitmq


async def test_publishing_over_a_network_that_breaks_says_false_and_never_raises(
    broker: RabbitBroker, network: Network
) -> None:
    """aiormq lets publishers of a dying connection see a CancelledError that nobody asked for."""
    network.freeze()
    with in_a_hurry(broker):
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
    async with asyncio.timeout(40):
        assert await asyncio.gather(*publishing) == [[False, False]] * 2
    network.thaw()
    await broker.close()


async def test_a_frozen_network_costs_a_publisher_the_timeout_and_not_for_ever(
    broker: RabbitBroker, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbitmq_connection, "CALL_SECONDS", 300.0)
    assert await broker.publish([envelope()]) == [True]
    network.freeze()
    for _ in range(2):
        began = time.monotonic()
        with in_a_hurry(broker):
            assert await broker.publish([envelope("again and again")]) == [False]
        assert time.monotonic() - began < 3 * SHORT_SECONDS
    network.thaw()
    await until_published(broker)


async def test_who_publishes_in_vain_does_not_flood_the_log(
    broker: RabbitBroker, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_throttle, "KIND_AGAIN_AFTER_SECONDS", 3_600.0)
    assert await broker.publish([envelope()]) == [True]
    network.freeze()
    with capture_logs() as logs, in_a_hurry(broker):
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
    with in_a_hurry(broker):
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
        await until_published(expecting)
        passengers |= set((await expecting._publishing.connection()).lane._handlers)
        network.freeze()
        with in_a_hurry(expecting):
            assert await expecting.publish([envelope()]) == [False]
        network.thaw()
    await until_published(expecting)
    lane = (await expecting._publishing.connection()).lane
    assert len(passengers) > 3, "the numbers are used again: then nothing is shown here"
    await until(lambda: len(lane._handlers) == 2)
    await expecting.close()


async def test_who_publish_at_once_open_one_channel(broker: RabbitBroker) -> None:
    """Any other would be kept for as long as the connection."""
    assert await asyncio.gather(*(broker.publish([envelope()]) for _ in range(5))) == [[True]] * 5
    connection = await broker._publishing.connection()
    assert connection.transport is not None
    assert len(connection.transport.connection.channels) == 1


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
