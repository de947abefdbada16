"""What is published arrives whole and in order, and what cannot be published is said to have failed."""

import asyncio

from messages.transport.broker import MANY_DOCUMENTS, Broker, Envelope
from tests.integration.broker.carriers import WORK, Reader, bodies, envelope


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


async def test_others_go_on_while_something_is_published(broker: Broker) -> None:
    going_on = asyncio.Event()
    asyncio.get_running_loop().call_soon(going_on.set)
    await broker.publish([envelope()])
    assert going_on.is_set()


async def test_nothing_is_published_by_publishing_nothing(broker: Broker) -> None:
    assert await broker.publish([]) == []


async def test_after_close_publishing_fails_instead_of_raising(broker: Broker) -> None:
    await broker.close()
    assert await broker.publish([envelope()]) == [False]
