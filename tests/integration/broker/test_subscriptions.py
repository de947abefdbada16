"""A subscription is stopped, paused and resumed, and finds a queue that appears later."""

from messages.transport.broker import Broker
from tests.integration.broker.carriers import Carrier, Reader, bodies, envelope, until
from tests.integration.broker.round_trips import greet, settle


async def test_a_stopped_subscription_takes_no_more_and_can_still_acknowledge(carrier: Carrier, broker: Broker) -> None:
    reader = await Reader.of(broker, "work")
    await broker.publish([envelope("handled"), envelope("left")])
    arrivals = await reader.take(2)
    await reader.subscription.stop()
    other = await carrier.broker()
    rest = await Reader.of(other, "work")
    await until(lambda: other.connected)
    await broker.publish([envelope("late"), envelope("later")])
    assert bodies(await rest.take(2)) == ["late", "later"]
    assert not reader.waiting
    await reader.acknowledge(arrivals[0])
    assert broker.connected
    await broker.close()
    assert bodies(await rest.take(1)) == ["left"]


async def test_a_paused_subscription_leaves_what_comes_to_others_and_keeps_what_it_has(
    carrier: Carrier, broker: Broker
) -> None:
    reader = await Reader.of(broker, "work")
    await broker.publish([envelope("handled"), envelope("in the buffer")])
    (handled,) = await reader.take(1)
    await until(lambda: len(reader.waiting) == 1)
    await reader.subscription.pause()
    other = await carrier.broker()
    heir = await Reader.of(other, "work")
    await until(lambda: other.connected)
    await broker.publish([envelope("late"), envelope("later")])
    assert bodies(await heir.take(2)) == ["late", "later"]
    await reader.acknowledge(handled)
    assert broker.connected
    assert bodies(await reader.take(1)) == ["in the buffer"]
    assert not heir.waiting


async def test_a_resumed_subscription_takes_more_as_often_as_it_is_resumed(broker: Broker) -> None:
    reader = await Reader.of(broker, "work", prefetch=3)
    for number in range(5):
        await reader.subscription.pause()
        await reader.subscription.pause()
        await settle(broker)  # what is handed out while RabbitMQ hears of the pause comes after it, as a failed one
        await broker.publish([envelope(str(number))])
        await settle(broker)
        assert not reader.waiting
        await reader.subscription.resume()
        (arrival,) = await reader.take(1)
        assert (arrival.body.decode(), arrival.failures) == (str(number), 0)
        await reader.acknowledge(arrival)


async def test_the_prefetch_counts_what_was_held_through_a_pause(broker: Broker) -> None:
    reader = await Reader.of(broker, "work", prefetch=3)
    await greet(broker, reader)
    await broker.publish([envelope(str(number)) for number in range(5)])
    held = await reader.take(3)
    await reader.subscription.pause()
    await reader.subscription.resume()
    await settle(broker)
    assert not reader.waiting
    await reader.acknowledge(held[-1])
    assert bodies(await reader.take(2)) == ["3", "4"]


async def test_a_subscription_that_is_resumed_while_it_holds_something_goes_on_behind_it(broker: Broker) -> None:
    reader = await Reader.of(broker, "work")
    await greet(broker, reader)
    await broker.publish([envelope(str(number)) for number in range(3)])
    held = await reader.take(3)
    await reader.subscription.pause()
    await settle(broker)  # what is handed out while RabbitMQ hears of the pause comes after it, as a failed one
    await reader.acknowledge(held[0])
    await reader.subscription.resume()
    await broker.publish([envelope("3"), envelope("4")])
    await reader.acknowledge(held[-1])
    assert [(each.body, each.failures) for each in await reader.take(2)] == [(b"3", 0), (b"4", 0)]


async def test_a_paused_subscription_stays_paused_on_a_new_connection(carrier: Carrier, broker: Broker) -> None:
    reader = await Reader.of(broker, "work")
    await broker.publish([envelope("held")])
    await reader.take(1)
    await reader.subscription.pause()
    await carrier.break_connections(broker)
    await until(lambda: broker.connected)
    await settle(broker)
    assert not reader.waiting
    await reader.subscription.resume()
    assert [(arrival.body, arrival.failures) for arrival in await reader.take(1)] == [(b"held", 1)]


async def test_a_subscription_that_was_stopped_is_not_resumed(carrier: Carrier, broker: Broker) -> None:
    reader = await Reader.of(broker, "work")
    await until(lambda: broker.connected)
    await reader.subscription.pause()
    await reader.subscription.stop()
    await reader.subscription.resume()
    rest = await Reader.of(await carrier.broker(), "work")
    await broker.publish([envelope("a"), envelope("b")])
    assert bodies(await rest.take(2)) == ["a", "b"]
    assert not reader.waiting


async def test_a_subscription_that_was_stopped_does_not_begin_again(carrier: Carrier, broker: Broker) -> None:
    reader = await Reader.of(broker, "work")
    await until(lambda: broker.connected)
    await reader.subscription.stop()
    await carrier.break_connections(broker)
    other = await carrier.broker()
    rest = await Reader.of(other, "work")
    await until(lambda: broker.connected and other.connected)
    await settle(broker)
    await broker.publish([envelope("a"), envelope("b")])
    assert bodies(await rest.take(2)) == ["a", "b"]
    assert not reader.waiting


async def test_a_queue_that_appears_later_is_served_as_soon_as_it_does(carrier: Carrier, broker: Broker) -> None:
    await carrier.delete("work")
    reader = await Reader.of(broker, "work")
    assert not broker.connected
    await carrier.declare()
    await until(lambda: broker.connected)
    await broker.publish([envelope("at last")])
    assert bodies(await reader.take(1)) == ["at last"]


async def test_a_queue_that_is_declared_once_more_keeps_what_it_has(carrier: Carrier, broker: Broker) -> None:
    await broker.publish([envelope("kept")])
    await carrier.declare()
    reader = await Reader.of(broker, "work")
    assert bodies(await reader.take(1)) == ["kept"]


async def test_a_queue_that_is_deleted_and_made_again_is_served_again(carrier: Carrier, broker: Broker) -> None:
    reader = await Reader.of(broker, "work")
    await broker.publish([envelope("lost"), envelope("with the queue")])
    stale = await reader.take(2)
    await carrier.delete("work")
    await until(lambda: not broker.connected)
    assert await broker.publish([envelope()]) == [False]
    await carrier.declare()
    await until(lambda: broker.connected)
    await broker.publish([envelope("new")])
    await reader.acknowledge(stale[0])
    fresh = await reader.take(1)
    assert [(arrival.body, arrival.failures) for arrival in fresh] == [(b"new", 0)]
    await carrier.break_connections(broker)
    assert bodies(await reader.take(1)) == ["new"]
    await settle(broker)
    assert not reader.waiting
