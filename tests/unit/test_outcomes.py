"""What a client hears of its queue of outcomes: all of it, however much that is, and which message caused each."""

from uuid import UUID, uuid4

import pytest

from messages.contracts.message import Message
from messages.contracts.order import CancelOrder, OrderNotPlaced, OrderPlaced, RequestRejected
from messages.transport import document
from messages.transport.addresses import OUTCOMES, Address
from messages.transport.broker import ONE_DOCUMENT, Envelope
from messages.transport.edge import outcomes
from messages.transport.edge.outcomes import Listener, Outcome
from messages.transport.handled import Outgoing
from messages.transport.in_process.broker import InProcessBroker
from messages.transport.incoming import Incoming
from messages.transport.topology import EXCHANGES, Topology, listener

MINE = listener("test")
ORDER, CAUSE = uuid4(), uuid4()
PLACED = OrderPlaced(order_id=ORDER, packet_ids=("P-1",), agent_id="A-1")


@pytest.fixture
async def broker() -> InProcessBroker:
    broker = InProcessBroker(Topology(EXCHANGES, MINE.queues, MINE.bindings))
    await broker.start()
    return broker


async def test_more_outcomes_than_are_handed_out_ahead_are_all_heard(
    broker: InProcessBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not acknowledged is not followed by more."""
    monkeypatch.setattr(outcomes, "OUTCOMES_AHEAD", 3)
    mine = await Listener.on(broker, MINE.queues[0].name)
    await broker.publish([told(PLACED) for _ in range(9)])

    assert [len(await mine.take()) for _ in range(4)] == [3, 3, 3, 0]


@pytest.mark.parametrize(
    "message",
    [
        PLACED,
        OrderNotPlaced(order_id=ORDER, reason="cancelled"),
        RequestRejected(order_id=ORDER, request_message_id=uuid4(), reason="conflict"),
    ],
)
@pytest.mark.parametrize("cause", [CAUSE, None])
async def test_each_kind_of_outcome_is_heard_with_what_caused_it(
    broker: InProcessBroker, message: Message, cause: UUID | None
) -> None:
    mine = await Listener.on(broker, MINE.queues[0].name)
    await broker.publish([told(message, cause)])

    assert await mine.take() == [Outcome(message, cause)]


async def test_what_cannot_be_read_hides_no_outcome(broker: InProcessBroker) -> None:
    mine = await Listener.on(broker, MINE.queues[0].name)
    await broker.publish([Envelope(told(PLACED).to, b"{", ONE_DOCUMENT, str(uuid4())), told(PLACED)])

    assert await mine.take() == [Outcome(PLACED, None)]


def told(message: Message, cause: UUID | None = None) -> Envelope:
    to = Address(OUTCOMES, message.routing_key())
    caused = Incoming(CancelOrder(order_id=ORDER), cause, f"00-{cause.hex}-{cause.hex[:16]}-01") if cause else None
    return Envelope(to, document.encode(Outgoing(message, to, caused)), ONE_DOCUMENT, str(uuid4()))
