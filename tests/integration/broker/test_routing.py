"""Which queues an envelope reaches, and what becomes of one that reaches none."""

import asyncio

import pytest

from messages.transport.addresses import ANSWERS, COMMANDS, OUTCOMES, Address
from messages.transport.broker import Broker
from tests.integration.broker.carriers import Reader, bodies, envelope


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
