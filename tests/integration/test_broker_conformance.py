"""What the saga relies on, proven for RabbitMQ and for the in-process broker alike."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from messages.transport.addresses import ANSWERS, COMMANDS, OUTCOMES, REQUESTS, Address
from messages.transport.broker import FAILURES_BEFORE_ISOLATION, MANY_DOCUMENTS, Broker, Envelope
from messages.transport.provenance import FAILED_TOO_OFTEN, Death, Provenance
from tests.conftest import NewVhost
from tests.integration.carriers import (
    ASKED,
    DELIVERY_LIMIT,
    OTHER,
    WORK,
    Carrier,
    InProcess,
    Rabbit,
    Reader,
    bodies,
    envelope,
    until,
)


@pytest.fixture
async def in_process() -> AsyncIterator[Carrier]:
    carrier = InProcess()
    yield carrier
    await carrier.close()


@pytest.fixture
async def rabbit(new_vhost: NewVhost) -> AsyncIterator[Carrier]:
    carrier = Rabbit(await new_vhost())
    await carrier.declare()
    yield carrier
    await carrier.close()


@pytest.fixture(params=["in_process", pytest.param("rabbit", marks=pytest.mark.rabbitmq)])
def carrier(request: pytest.FixtureRequest) -> Carrier:
    made: Carrier = request.getfixturevalue(request.param)
    return made


@pytest.fixture
async def broker(carrier: Carrier) -> Broker:
    return await carrier.broker()


async def test_documents_arrive_in_the_order_in_which_they_were_said(broker: Broker) -> None:
    reader = await Reader.of(broker, "work")
    said = [envelope() for _ in range(30)]
    assert await broker.publish(said) == [True] * 30
    arrivals = await reader.take(30)
    assert [arrival.body for arrival in arrivals] == [each.body for each in said]
    assert {(arrival.content_type, arrival.failures) for arrival in arrivals} == {("application/json", 0)}


async def test_an_envelope_as_large_as_they_come_arrives_whole(broker: Broker) -> None:
    reader = await Reader.of(broker, "work")
    large = Envelope(WORK, b"0123456789abcde\n" * 65_536, MANY_DOCUMENTS, "large")
    assert await broker.publish([envelope("before"), large, envelope("after")]) == [True] * 3
    before, arrival, after = await reader.take(3)
    assert arrival.body == large.body
    assert arrival.content_type == MANY_DOCUMENTS
    assert bodies([before, after]) == ["before", "after"]


async def test_many_more_than_may_be_in_flight_at_a_time_are_all_published(broker: Broker) -> None:
    reader = await Reader.of(broker, "work", prefetch=2_000)
    said = [envelope() for _ in range(1_200)]
    results = await asyncio.gather(broker.publish(said[:600]), broker.publish(said[600:]))
    assert list(results) == [[True] * 600, [True] * 600]
    assert sorted(bodies(await reader.take(1_200))) == sorted(each.body.decode() for each in said)


async def test_nothing_is_published_by_publishing_nothing(broker: Broker) -> None:
    assert await broker.publish([]) == []


async def test_what_must_reach_a_queue_and_does_not_is_said_to_have_failed(broker: Broker) -> None:
    nowhere = Address(COMMANDS, "nobody")
    said = [envelope(), envelope(to=nowhere), envelope(), envelope(to=Address(ANSWERS, "work"))]
    assert await broker.publish(said) == [True, False, True, False]


async def test_what_nobody_needs_to_hear_is_published_all_the_same(broker: Broker) -> None:
    assert await broker.publish([envelope(to=Address(OUTCOMES, "unheard"), mandatory=False)]) == [True]


async def test_of_two_with_one_id_in_flight_an_unroutable_one_never_passes_for_the_other(broker: Broker) -> None:
    lost, found = envelope(to=Address(COMMANDS, "nobody"), message_id="same"), envelope(message_id="same")
    assert (await broker.publish([lost, found]))[0] is False
    concurrently = await asyncio.gather(broker.publish([lost]), broker.publish([found]))
    assert concurrently[0] == [False]
    assert await broker.publish([found]) == [True]


async def test_a_direct_exchange_takes_the_key_literally(broker: Broker) -> None:
    work, other = await Reader.of(broker, "work"), await Reader.of(broker, "other")
    assert await broker.publish([envelope("a"), envelope("b", Address(ANSWERS, "other"))]) == [True, True]
    assert bodies(await work.take(1)) == ["a"]
    assert bodies(await other.take(1)) == ["b"]
    assert not work.waiting
    assert not other.waiting


@pytest.mark.parametrize(
    ("key", "reaches"),
    [
        ("order_placed", True),
        ("order_not_placed", False),
        ("order.placed", True),
        ("placed", False),
        ("an.order.placed", False),
        ("order.placed.late.today", True),
    ],
)
async def test_a_topic_exchange_takes_the_key_as_words(broker: Broker, key: str, reaches: bool) -> None:
    assert await broker.publish([envelope(to=Address(OUTCOMES, key))]) == [reaches]


async def test_a_queue_that_is_bound_twice_gets_one_copy(broker: Broker) -> None:
    reader = await Reader.of(broker, "placed")
    await broker.publish([envelope("twice bound", Address(OUTCOMES, "order.placed"))])
    await broker.publish([envelope("next", Address(OUTCOMES, "order_placed"))])
    assert bodies(await reader.take(2)) == ["twice bound", "next"]


async def test_what_came_through_the_exchange_of_the_clients_says_so_also_when_it_comes_again(
    carrier: Carrier, broker: Broker
) -> None:
    reader = await Reader.of(broker, "asked")
    await broker.publish([envelope("a client's", Address(REQUESTS, "asked.for")), envelope("ours", ASKED)])
    for _ in range(2):
        arrivals = {arrival.body: arrival.from_outside for arrival in await reader.take(2)}
        assert arrivals == {b"a client's": Provenance.CLIENT, b"ours": Provenance.INTERNAL}
        await carrier.break_connections(broker)


async def test_a_clients_dead_letter_is_a_clients(carrier: Carrier, broker: Broker) -> None:
    await broker.publish([envelope("a client's", Address(REQUESTS, "work"))])
    await _fail_at(carrier, broker, "work")
    (letter,) = await (await Reader.of(broker, "dead")).take(1)
    assert (letter.from_outside, letter.death) == (Provenance.CLIENT, Death(FAILED_TOO_OFTEN, REQUESTS))


async def test_what_another_queue_gave_up_is_nobodys_word_and_nor_is_its_dead_letter(
    carrier: Carrier, broker: Broker
) -> None:
    """Not even a request: for this one the broker has asked for no right to say it."""
    await broker.publish([envelope("laundered", Address(OUTCOMES, "laundered"))])
    await _fail_at(carrier, broker, "laundry")
    assert await _fail_at(carrier, broker, "work") == {Provenance.UNTRUSTED_ROUTE}
    (letter,) = await (await Reader.of(broker, "dead")).take(1)
    assert (letter.body, letter.from_outside) == (b"laundered", Provenance.UNTRUSTED_ROUTE)
    assert letter.death == Death(FAILED_TOO_OFTEN, REQUESTS, first=False)


async def _fail_at(carrier: Carrier, broker: Broker, queue: str) -> set[Provenance]:
    """Lose what is in the queue until it is given up. Return where it seemed to come from."""
    reader = await Reader.of(broker, queue)
    seen = set()
    for _ in range(DELIVERY_LIMIT + 1):
        seen.add((await reader.take(1))[0].from_outside)
        await carrier.break_connections(broker)
    return seen


async def test_an_acknowledgement_that_a_later_one_has_overtaken_does_no_harm(carrier: Carrier, broker: Broker) -> None:
    reader = await Reader.of(broker, "work")
    await broker.publish([envelope(str(number)) for number in range(3)])
    arrivals = await reader.take(3)
    await reader.acknowledge(arrivals[1])
    await reader.acknowledge(arrivals[0])
    await _settle(broker)
    await broker.publish([envelope("3")])
    assert [(arrival.body, arrival.failures) for arrival in await reader.take(1)] == [(b"3", 0)]
    await carrier.break_connections(broker)
    assert sorted(bodies(await reader.take(2))) == ["2", "3"]


async def test_no_more_arrives_unacknowledged_than_the_prefetch(broker: Broker) -> None:
    reader = await Reader.of(broker, "work", prefetch=3)
    await broker.publish([envelope(str(number)) for number in range(5)])
    first = await reader.take(3)
    await _settle(broker)
    assert not reader.waiting
    await reader.acknowledge(first[1])
    assert bodies(await reader.take(2)) == ["3", "4"]


async def test_an_acknowledgement_covers_all_before_it_and_nothing_after(carrier: Carrier, broker: Broker) -> None:
    reader = await Reader.of(broker, "work")
    await broker.publish([envelope(str(number)) for number in range(5)])
    arrivals = await reader.take(5)
    await reader.acknowledge(arrivals[2])
    await _settle(broker)
    await carrier.break_connections(broker)
    assert sorted(bodies(await reader.take(2))) == ["3", "4"]
    await _settle(broker)
    assert not reader.waiting


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
    await _settle(broker)
    assert not reader.waiting


async def test_an_acknowledgement_for_a_lost_channel_acknowledges_nothing(carrier: Carrier, broker: Broker) -> None:
    reader = await Reader.of(broker, "work")
    await broker.publish([envelope("a"), envelope("b")])
    stale = await reader.take(2)
    await carrier.break_connections(broker)
    fresh = await reader.take(2)
    assert {arrival.tag for arrival in fresh} == {arrival.tag for arrival in stale}
    await reader.acknowledge(stale[1])
    await _settle(broker)
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
    await _settle_on(broker, "asked", ASKED)
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


async def test_competing_consumers_share_the_work_and_no_document_goes_to_both(
    carrier: Carrier, broker: Broker
) -> None:
    one = await Reader.of(broker, "work", prefetch=10)
    two = await Reader.of(await carrier.broker(), "work", prefetch=10)
    await until(lambda: broker.connected)
    said = [envelope() for _ in range(20)]
    await broker.publish(said)
    taken = bodies(await one.take(10)) + bodies(await two.take(10))
    assert sorted(taken) == sorted(each.body.decode() for each in said)


async def test_what_a_lost_consumer_held_goes_to_another(carrier: Carrier, broker: Broker) -> None:
    doomed = await carrier.broker()
    held = await Reader.of(doomed, "work")
    await broker.publish([envelope("a"), envelope("b")])
    await held.take(2)
    heir = await Reader.of(broker, "work")
    await doomed.close()
    inherited = await heir.take(2)
    assert sorted(bodies(inherited)) == ["a", "b"]


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
        await _settle(broker)  # what is handed out while RabbitMQ hears of the pause comes after it, as a failed one
        await broker.publish([envelope(str(number))])
        await _settle(broker)
        assert not reader.waiting
        await reader.subscription.resume()
        (arrival,) = await reader.take(1)
        assert (arrival.body.decode(), arrival.failures) == (str(number), 0)
        await reader.acknowledge(arrival)


async def test_the_prefetch_counts_what_was_held_through_a_pause(broker: Broker) -> None:
    reader = await Reader.of(broker, "work", prefetch=3)
    await broker.publish([envelope(str(number)) for number in range(5)])
    held = await reader.take(3)
    await reader.subscription.pause()
    await reader.subscription.resume()
    await _settle(broker)
    assert not reader.waiting
    await reader.acknowledge(held[-1])
    assert bodies(await reader.take(2)) == ["3", "4"]


async def test_a_paused_subscription_stays_paused_on_a_new_connection(carrier: Carrier, broker: Broker) -> None:
    reader = await Reader.of(broker, "work")
    await broker.publish([envelope("held")])
    await reader.take(1)
    await reader.subscription.pause()
    await carrier.break_connections(broker)
    await until(lambda: broker.connected)
    await _settle(broker)
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
    await _settle(broker)
    await broker.publish([envelope("a"), envelope("b")])
    assert bodies(await rest.take(2)) == ["a", "b"]
    assert not reader.waiting


async def test_what_was_not_acknowledged_when_a_broker_is_closed_comes_again(carrier: Carrier, broker: Broker) -> None:
    reader = await Reader.of(broker, "work")
    await broker.publish([envelope("a"), envelope("b"), envelope("c")])
    arrivals = await reader.take(2)
    await reader.acknowledge(arrivals[0])
    await broker.close()
    assert not broker.connected
    again = await Reader.of(await carrier.broker(), "work")
    assert sorted(bodies(await again.take(2))) == ["b", "c"]


async def test_what_comes_back_too_often_becomes_a_dead_letter(carrier: Carrier, broker: Broker) -> None:
    reader = await Reader.of(broker, "work")
    dead = await Reader.of(await carrier.broker(), "dead")
    await broker.publish([envelope("poison")])
    for failures in range(DELIVERY_LIMIT + 1):
        assert [arrival.failures for arrival in await reader.take(1)] == [failures]
        assert not dead.waiting
        await carrier.break_connections(broker)
    (letter,) = await dead.take(1)
    assert letter.body == b"poison"
    assert (letter.from_outside, letter.death) == (Provenance.INTERNAL, Death(FAILED_TOO_OFTEN, WORK.exchange))


async def test_a_queue_that_appears_later_is_served_as_soon_as_it_does(carrier: Carrier, broker: Broker) -> None:
    await carrier.delete("work")
    reader = await Reader.of(broker, "work")
    assert not broker.connected
    await carrier.declare()
    await until(lambda: broker.connected)
    await broker.publish([envelope("at last")])
    assert bodies(await reader.take(1)) == ["at last"]


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
    await _settle(broker)
    assert not reader.waiting


async def test_after_close_publishing_fails_instead_of_raising(broker: Broker) -> None:
    await broker.close()
    assert await broker.publish([envelope()]) == [False]


async def _settle(broker: Broker) -> None:
    """Give what is on its way the time of a round trip on another queue, twice."""
    await _settle_on(broker, "other", OTHER)


async def _settle_on(broker: Broker, queue: str, to: Address) -> None:
    reader = await Reader.of(broker, queue)
    for _ in range(2):
        await broker.publish([envelope(to=to)])
        await reader.acknowledge((await reader.take(1))[0])
    await reader.subscription.stop()
