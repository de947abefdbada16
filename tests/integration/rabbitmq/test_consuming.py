"""Who consumes gets what is meant for it, as it was sent, and nothing from a lost channel."""

from functools import partial
from urllib.parse import urlsplit

import aio_pika
import pytest
from pamqp.commands import Basic

from messages.transport.addresses import OUTCOMES, REQUESTS, Address
from messages.transport.broker import MANY_DOCUMENTS, ONE_DOCUMENT, Envelope
from messages.transport.rabbitmq.arrivals import CAUTIOUS_CONSUMER, CONSUMER
from messages.transport.rabbitmq.broker import RabbitBroker
from messages.transport.rabbitmq.subscription import RabbitSubscription
from messages.transport.strict_json import DOCUMENT_BYTES
from tests.conftest import NewVhost
from tests.integration.broker.carriers import ASKED, TOPOLOGY, Reader, bodies, envelope, eventually, until
from tests.integration.broker.round_trips import settle_on
from tests.integration.network import Network
from tests.integration.rabbitmq.probing import TIMEOUT_SECONDS
from tests.servers.management import Management

pytestmark = pytest.mark.rabbitmq


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


async def test_the_consumer_that_takes_over_with_the_whole_prefetch_has_a_tag_of_its_own(
    broker: RabbitBroker, network: Network, management_url: str
) -> None:
    """RabbitMQ 3.10 fails at a tag that is used again while something is unacknowledged."""
    vhost = urlsplit(network.url).path[1:]

    async def consumers() -> set[tuple[str, int]]:
        told = await Management(management_url).call("GET", f"consumers/{vhost}")
        return {(each["consumer_tag"], each["prefetch_count"]) for each in told if each["queue"]["name"] == "work"}

    async def only(tag: str, prefetch: int) -> bool:
        return await consumers() == {(tag, prefetch)}

    assert CAUTIOUS_CONSUMER != CONSUMER
    reader = await Reader.of(broker, "work", prefetch=7)
    await eventually(partial(only, CAUTIOUS_CONSUMER, 1))
    await broker.publish([envelope()])
    await reader.take(1)
    await eventually(partial(only, CONSUMER, 7))


async def test_after_a_pause_it_consumes_once_nothing_is_unacknowledged(broker: RabbitBroker) -> None:
    """RabbitMQ 3.10 closes the connection otherwise, and all that it held counts as failed."""
    reader = await Reader.of(broker, "work", prefetch=7)
    await broker.publish([envelope(), envelope()])
    held = await reader.take(2)
    await reader.subscription.pause()
    await reader.acknowledge(held[0])
    await reader.subscription.resume()
    await broker.publish([envelope("more")])
    await settle_on(broker, "asked", ASKED)
    assert not reader.waiting
    await reader.acknowledge(held[1])
    assert bodies(await reader.take(1)) == ["more"]


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
    lost = subscription._consumer
    assert lost is not None
    assert first.epoch is lost.arrivals
    for told in lost._channel.on_consumer_cancel_callbacks:
        told(Basic.Cancel("consumer"))
    await until(lambda: subscription._consumer not in (lost, None))
    arrivals = await reader.take(2_000)
    consumer = subscription._consumer
    assert consumer is not None
    assert {arrival.epoch for arrival in arrivals} == {consumer.arrivals}
    assert len(set(bodies(arrivals))) == 2_000


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


async def _flooded(broker: RabbitBroker) -> Reader:
    """One to whom 2,000 are on their way: whoever has just come is full with one, until he has acknowledged it."""
    await broker.publish([envelope("greeting"), *(envelope("x" * 1000 + str(number)) for number in range(2_000))])
    reader = await Reader.of(broker, "work", prefetch=2_000)
    await reader.acknowledge((await reader.take(1))[0])
    return reader
