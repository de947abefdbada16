"""What a lost consumer held comes again, to whoever is there, and alone if it has failed often."""

from messages.transport.broker import FAILURES_BEFORE_ISOLATION, Broker
from tests.integration.broker.carriers import ASKED, OTHER, Carrier, Reader, bodies, envelope, until
from tests.integration.broker.round_trips import greet, settle, settle_on


async def test_what_a_lost_consumer_held_comes_again_and_says_so(carrier: Carrier, broker: Broker) -> None:
    reader = await Reader.of(broker, "work")
    await broker.publish([envelope("a"), envelope("b")])
    assert [arrival.failures for arrival in await reader.take(2)] == [0, 0]
    await carrier.break_connections(broker)
    again = await reader.take(2)
    assert sorted(bodies(again)) == ["a", "b"]
    assert all(arrival.failures == 1 for arrival in again)


async def test_what_had_arrived_on_a_lost_channel_is_dropped_from_the_buffer(carrier: Carrier, broker: Broker) -> None:
    reader = await Reader.of(broker, "work")
    await broker.publish([envelope("a"), envelope("b")])
    await until(lambda: len(reader.waiting) == 2)
    await carrier.break_connections(broker)
    again = await reader.take(2)
    assert [arrival.failures for arrival in again] == [1, 1]
    await settle(broker)
    assert not reader.waiting


async def test_what_has_failed_often_comes_one_at_a_time_until_something_comes_that_has_not(
    carrier: Carrier, broker: Broker
) -> None:
    doomed = await carrier.broker()
    held = await Reader.of(doomed, "other")
    await broker.publish([envelope(str(number), OTHER) for number in range(3)])
    for failures in range(FAILURES_BEFORE_ISOLATION + 1):
        assert [arrival.failures for arrival in await held.take(3)] == [failures] * 3
        await carrier.break_connections(doomed)
    # From here on each is alone, so what it does to its consumer is counted for none of the others.
    (killer,) = await held.take(1)
    await settle_on(broker, "asked", ASKED)
    assert not held.waiting
    await carrier.break_connections(doomed)
    await broker.publish([envelope("harmless", OTHER), envelope("next", OTHER)])
    counted: dict[str, int] = {}
    while "harmless" not in counted:
        (alone,) = await held.take(1)
        counted[alone.body.decode()] = alone.failures
        await held.acknowledge(alone)
    assert counted == {"0": 3, "1": 3, "2": 3, "harmless": 0} | {killer.body.decode(): 4}
    assert bodies(await held.take(1)) == ["next"]
    await doomed.close()


async def test_who_has_had_something_harmless_is_given_what_has_failed_often_together(
    carrier: Carrier, broker: Broker
) -> None:
    reader, doomed = await Reader.of(broker, "other"), await carrier.broker()
    await broker.publish([envelope("harmless", OTHER)])
    (harmless,) = await reader.take(1)
    await reader.acknowledge(harmless)
    await reader.subscription.pause()
    await settle_on(broker, "asked", ASKED)
    held = await Reader.of(doomed, "other")
    await broker.publish([envelope("a", OTHER), envelope("b", OTHER)])
    for _ in range(FAILURES_BEFORE_ISOLATION + 1):
        await held.take(2)
        await carrier.break_connections(doomed)
    await doomed.close()
    await reader.subscription.resume()
    assert all(arrival.failures > FAILURES_BEFORE_ISOLATION for arrival in await reader.take(2))


async def test_competing_consumers_share_the_work_and_no_document_goes_to_both(
    carrier: Carrier, broker: Broker
) -> None:
    one, two = await competing(carrier, broker)
    said = [envelope() for _ in range(20)]
    await broker.publish(said)
    taken = bodies(await one.take(10)) + bodies(await two.take(10))
    assert sorted(taken) == sorted(each.body.decode() for each in said)


async def test_competing_consumers_that_both_have_room_take_turns(carrier: Carrier, broker: Broker) -> None:
    one, two = await competing(carrier, broker)
    await broker.publish([envelope() for _ in range(6)])
    await one.take(3)
    await two.take(3)


async def competing(carrier: Carrier, broker: Broker) -> tuple[Reader, Reader]:
    """Two of one queue, on connections of their own, each with room for ten."""
    other = await carrier.broker()
    one = await Reader.of(broker, "work", prefetch=10)
    await greet(broker, one)
    await one.subscription.pause()
    await settle(broker)  # or it gets the other's greeting, while RabbitMQ hears of the pause
    two = await Reader.of(other, "work", prefetch=10)
    await greet(other, two)
    await one.subscription.resume()
    await until(lambda: broker.connected)
    return one, two


async def test_what_a_lost_consumer_held_goes_to_another(carrier: Carrier, broker: Broker) -> None:
    doomed = await carrier.broker()
    held = await Reader.of(doomed, "work")
    await broker.publish([envelope("a"), envelope("b")])
    await held.take(2)
    heir = await Reader.of(broker, "work")
    await doomed.close()
    inherited = await heir.take(2)
    assert sorted(bodies(inherited)) == ["a", "b"]
