"""Of what arrives is kept how it came and how often it failed, and it is told."""

import pytest
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.common import FieldArray
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from messages.transport.broker import FAILURES_BEFORE_ISOLATION
from messages.transport.provenance import Death, Provenance
from messages.transport.rabbitmq.arrivals import CAUTIOUS_CONSUMER, CONSUMER
from messages.transport.strict_json import DOCUMENT_BYTES
from tests.unit.fast_lane.line import HEARTBEAT, MINE, Line, delivery, message


async def test_that_something_harmless_has_come_is_told_once() -> None:
    line = Line()
    for _ in range(3):
        line.receive(b"".join(delivery(b"harmless")))
    assert line.harmless == 1


async def test_what_arrives_in_one_read_is_told_and_nothing_else() -> None:
    line = Line()
    line.receive(b"".join(delivery(b"a") + delivery(b"b") + delivery(b"")))
    assert (line.bodies, line.told) == ([b"a", b"b", b""], 3)
    line.receive(HEARTBEAT)
    assert line.told == 3


async def test_what_either_consumer_of_the_channel_brings_is_taken() -> None:
    line = Line()
    line.receive(b"".join(delivery(b"a", CAUTIOUS_CONSUMER) + delivery(b"b", CONSUMER) + delivery(b"c", "other")))
    assert line.bodies == [b"a", b"b"]


@pytest.mark.parametrize("count", [FAILURES_BEFORE_ISOLATION, FAILURES_BEFORE_ISOLATION + 1])
@pytest.mark.parametrize("redelivered", [True, False])
async def test_only_what_is_redelivered_has_failed_whatever_its_headers_say(redelivered: bool, count: int) -> None:
    line, failed = Line(), count if redelivered else 0
    deliver = Basic.Deliver(CONSUMER, 9, redelivered, "commands", "work")
    headers = ContentHeader(properties=Basic.Properties(headers={"x-delivery-count": count}))
    line.receive(marshal(deliver, MINE) + marshal(headers, MINE))
    (arrival,) = line.arrived
    assert (arrival.failures, arrival.tag, arrival.content_type) == (failed, 9, None)
    assert line.harmless == (failed <= FAILURES_BEFORE_ISOLATION)
    assert arrival.epoch is line.arrivals


async def test_each_arrival_is_told_by_the_exchange_that_it_came_through() -> None:
    line = Line()
    for exchange in ("commands", "outcomes.evil", "answers", "requests", "dead_letters", ""):
        deliver = Basic.Deliver(CONSUMER, 1, exchange=exchange, routing_key="work")
        line.receive(b"".join(message(deliver, b"x", 1, MINE)))
    detour = Provenance.UNTRUSTED_ROUTE
    assert [arrival.provenance for arrival in line.arrived] == [
        *(Provenance.INTERNAL, detour, Provenance.INTERNAL, Provenance.CLIENT, detour, detour)
    ]


async def test_of_a_clients_dead_letter_no_more_is_kept_either_than_tells_that_it_is_too_large() -> None:
    line = Line()
    for exchange in ("requests", "commands"):
        deaths: FieldArray = [{"reason": "delivery_limit", "exchange": exchange}]
        content = ContentHeader(body_size=2 * DOCUMENT_BYTES, properties=Basic.Properties(headers={"x-death": deaths}))
        deliver = Basic.Deliver(CONSUMER, 1, exchange="dead_letters", routing_key="dead")
        for frame in (deliver, content, ContentBody(b"x" * 2 * DOCUMENT_BYTES)):
            line.receive(marshal(frame, MINE))
    assert [(arrival.provenance, len(arrival.body)) for arrival in line.arrived] == [
        *((Provenance.CLIENT, DOCUMENT_BYTES + 1), (Provenance.INTERNAL, 2 * DOCUMENT_BYTES))
    ]
    assert [arrival.death for arrival in line.arrived] == [
        *(Death("delivery_limit", "requests"), Death("delivery_limit", "commands"))
    ]


async def test_an_outcome_is_kept_whole_however_large_it_is() -> None:
    line = Line()
    body = b"x" * 2 * DOCUMENT_BYTES
    for frame in message(Basic.Deliver(CONSUMER, 1, exchange="outcomes", routing_key="order_placed"), body, 1, MINE):
        line.receive(frame)
    assert line.bodies == [body]


async def test_what_arrives_after_the_stop_goes_nowhere() -> None:
    line = Line()
    deliver, header, body = delivery(b"cut off")
    line.receive(deliver + header)
    line.arrivals.stop()
    line.receive(body + b"".join(delivery(b"too late")))
    assert (line.bodies, line.told) == ([], 0)
    assert await line.left() == b""


async def test_what_is_acknowledged_already_is_not_acknowledged_again() -> None:
    """It would cost the channel."""
    line = Line()
    for tag in (2, 1, 2, 3):
        line.arrivals.acknowledge(tag)
    assert line.written == [marshal(Basic.Ack(tag, multiple=True), MINE) for tag in (2, 3)]
