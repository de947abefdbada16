"""Who has said what arrives, also if it comes again, or is given up and becomes a dead letter."""

from uuid import uuid4

from structlog.testing import capture_logs

from messages.contracts.order import OrderPlaced
from messages.transport import document
from messages.transport.addresses import OUTCOMES, REQUESTS, Address
from messages.transport.broker import ONE_DOCUMENT, Broker, Envelope
from messages.transport.edge.outcomes import Listener
from messages.transport.handled import Outgoing
from messages.transport.in_process.broker import InProcessBroker
from messages.transport.provenance import FAILED_TOO_OFTEN, Death, Provenance
from messages.transport.topology import EXCHANGES, Binding, Topology, listener
from tests.integration.broker.carriers import ASKED, DELIVERY_LIMIT, WORK, Carrier, Reader, envelope, until


async def test_what_came_through_the_exchange_of_the_clients_says_so_also_when_it_comes_again(
    carrier: Carrier, broker: Broker
) -> None:
    reader = await Reader.of(broker, "asked")
    await broker.publish([envelope("a client's", Address(REQUESTS, "asked.for")), envelope("ours", ASKED)])
    for _ in range(2):
        arrivals = {arrival.body: arrival.provenance for arrival in await reader.take(2)}
        assert arrivals == {b"a client's": Provenance.CLIENT, b"ours": Provenance.INTERNAL}
        await carrier.break_connections(broker)


async def test_a_clients_dead_letter_is_a_clients(carrier: Carrier, broker: Broker) -> None:
    await broker.publish([envelope("a client's", Address(REQUESTS, "work"))])
    await _fail_at(carrier, broker, "work")
    (letter,) = await (await Reader.of(broker, "dead")).take(1)
    assert (letter.provenance, letter.death) == (Provenance.CLIENT, Death(FAILED_TOO_OFTEN, REQUESTS))


async def test_what_another_queue_gave_up_is_nobodys_word_and_nor_is_its_dead_letter(
    carrier: Carrier, broker: Broker
) -> None:
    """Not even a request: for this one the broker has asked for no right to say it."""
    await broker.publish([envelope("laundered", Address(OUTCOMES, "laundered"))])
    await _fail_at(carrier, broker, "laundry")
    dead = await Reader.of(await carrier.broker(), "dead")
    assert await _fail_until_given_up(carrier, broker, "work", dead) == {Provenance.UNTRUSTED_ROUTE}
    (letter,) = await dead.take(1)
    assert (letter.body, letter.provenance) == (b"laundered", Provenance.UNTRUSTED_ROUTE)
    assert letter.death == Death(FAILED_TOO_OFTEN, REQUESTS, first=False)


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
    assert (letter.provenance, letter.death) == (Provenance.INTERNAL, Death(FAILED_TOO_OFTEN, WORK.exchange))


async def _fail_at(carrier: Carrier, broker: Broker, queue: str) -> None:
    """Lose what is in the queue until it is given up."""
    reader = await Reader.of(broker, queue)
    for _ in range(DELIVERY_LIMIT + 1):
        await reader.take(1)
        await carrier.break_connections(broker)


async def _fail_until_given_up(carrier: Carrier, broker: Broker, queue: str, dead: Reader) -> set[Provenance]:
    """The same for what another queue gave up, whose failures count here too from RabbitMQ 4.3 on.

    Return where it seemed to come from.
    """
    reader = await Reader.of(broker, queue)
    seen = set()
    while not dead.waiting:
        await until(lambda: bool(reader.waiting or dead.waiting))
        if reader.waiting:
            seen.add((await reader.take(1))[0].provenance)
            await carrier.break_connections(broker)
    return seen


async def test_an_outcome_that_did_not_come_through_the_exchange_of_outcomes_is_ignored_and_told_once() -> None:
    mine = listener("test")
    queue = mine.queues[0].name
    broker = InProcessBroker(Topology(EXCHANGES, mine.queues, (*mine.bindings, Binding(REQUESTS, "forged", queue))))
    await broker.start()
    outcomes = await Listener.on(broker, queue)
    placed = OrderPlaced(order_id=uuid4(), packet_ids=("P-1",), agent_id="A-1")
    ways = (Address(REQUESTS, "forged"), Address(REQUESTS, "forged"), Address(OUTCOMES, "order_placed"))
    for to in ways:
        body = document.encode(Outgoing(placed, to))
        assert await broker.publish([Envelope(to, body, ONE_DOCUMENT, str(uuid4()))]) == [True]

    with capture_logs() as logs:
        taken = await outcomes.take()

    assert [outcome.message for outcome in taken] == [placed]
    assert [log["queue"] for log in logs if "forged" in log["event"]] == [queue]
