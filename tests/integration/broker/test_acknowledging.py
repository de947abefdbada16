"""What is acknowledged is done, what is not comes again, and neither more nor less than that."""

import asyncio

from messages.transport.broker import Broker
from tests.integration.broker.carriers import Carrier, Reader, bodies, envelope, until
from tests.integration.broker.round_trips import greet, settle


async def test_an_acknowledgement_that_a_later_one_has_overtaken_does_no_harm(carrier: Carrier, broker: Broker) -> None:
    reader = await Reader.of(broker, "work")
    await broker.publish([envelope(str(number)) for number in range(3)])
    arrivals = await reader.take(3)
    await reader.acknowledge(arrivals[1])
    await reader.acknowledge(arrivals[0])
    await settle(broker)
    await broker.publish([envelope("3")])
    assert [(arrival.body, arrival.failures) for arrival in await reader.take(1)] == [(b"3", 0)]
    await carrier.break_connections(broker)
    assert sorted(bodies(await reader.take(2))) == ["2", "3"]


async def test_no_more_arrives_unacknowledged_than_the_prefetch(broker: Broker) -> None:
    reader = await Reader.of(broker, "work", prefetch=3)
    await greet(broker, reader)
    await broker.publish([envelope(str(number)) for number in range(5)])
    first = await reader.take(3)
    await settle(broker)
    assert not reader.waiting
    await reader.acknowledge(first[1])
    assert bodies(await reader.take(2)) == ["3", "4"]


async def test_until_the_first_is_acknowledged_no_more_than_one_more_arrives(broker: Broker) -> None:
    reader = await Reader.of(broker, "work", prefetch=3)
    await broker.publish([envelope(str(number)) for number in range(9)])
    taken = await reader.take(3)
    await settle(broker)
    assert len(reader.waiting) <= 1
    await reader.acknowledge(taken[0])
    await settle(broker)
    assert len(reader.waiting) == 1


async def test_an_acknowledgement_covers_all_before_it_and_nothing_after(carrier: Carrier, broker: Broker) -> None:
    reader = await Reader.of(broker, "work")
    await broker.publish([envelope(str(number)) for number in range(5)])
    arrivals = await reader.take(5)
    await reader.acknowledge(arrivals[2])
    await settle(broker)
    await carrier.break_connections(broker)
    assert sorted(bodies(await reader.take(2))) == ["3", "4"]
    await settle(broker)
    assert not reader.waiting


async def test_an_acknowledgement_for_a_lost_channel_acknowledges_nothing(carrier: Carrier, broker: Broker) -> None:
    reader = await Reader.of(broker, "work")
    await broker.publish([envelope("a"), envelope("b")])
    stale = await reader.take(2)
    await carrier.break_connections(broker)
    fresh = await reader.take(2)
    assert {arrival.tag for arrival in fresh} == {arrival.tag for arrival in stale}
    await reader.acknowledge(stale[1])
    await settle(broker)
    await carrier.break_connections(broker)
    assert [arrival.failures for arrival in await reader.take(2)] == [2, 2]


async def test_acknowledging_while_the_connection_is_gone_does_no_harm(carrier: Carrier, broker: Broker) -> None:
    reader = await Reader.of(broker, "work")
    await broker.publish([envelope("a")])
    arrivals = await reader.take(1)
    await asyncio.gather(carrier.break_connections(broker), reader.acknowledge(arrivals[0]))
    await until(lambda: broker.connected)
    assert await broker.publish([envelope("b")]) == [True]
    assert sorted(bodies(await reader.take(2))) == ["a", "b"]


async def test_what_was_not_acknowledged_when_a_broker_is_closed_comes_again(carrier: Carrier, broker: Broker) -> None:
    reader = await Reader.of(broker, "work")
    await broker.publish([envelope("a"), envelope("b"), envelope("c")])
    arrivals = await reader.take(2)
    await reader.acknowledge(arrivals[0])
    await broker.close()
    assert not broker.connected
    again = await Reader.of(await carrier.broker(), "work")
    assert sorted(bodies(await again.take(2))) == ["b", "c"]
