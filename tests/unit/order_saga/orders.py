"""An order in each phase, and how its saga hears of messages."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from messages.contracts.delivery import AgentAssigned, AgentRefused, AgentReleased, AgentReserved, ReleaseAgent
from messages.contracts.message import Message
from messages.contracts.order import CancelOrder, Line, OrderPlaced, OrderRequested
from messages.contracts.store import PacketsAssigned, PacketsRefused, PacketsReleased, PacketsReserved, ReleasePackets
from messages.transport.addresses import Address
from messages.transport.incoming import Incoming
from order_saga.participants import PARTICIPANTS
from order_saga.saga import advance, start
from order_saga.state import Decision, Phase, Policy, Saga

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
ORDER = UUID(int=1)
REQUEST = UUID(int=2)
TERMS = Policy(
    budget=timedelta(seconds=15),
    lease_seconds=30,
    repeat_base=timedelta(seconds=1),
    repeat_cap=timedelta(seconds=8),
    release_cap=timedelta(seconds=60),
    alarm_after_repeats=3,
    participants={name: PARTICIPANTS[name] for name in ("store", "delivery")},
)
DEADLINE = NOW + TERMS.budget

CUSTOMER = Address("outcomes", "order_placed")
STORE_INTAKE, STORE_SETTLE = Address("commands", "store_worker.reserve"), Address("commands", "store_worker.settle")
DELIVERY_INTAKE = Address("commands", "delivery_worker.reserve")
DELIVERY_SETTLE = Address("commands", "delivery_worker.settle")
RELEASES = [(ReleasePackets(order_id=ORDER), STORE_SETTLE), (ReleaseAgent(order_id=ORDER), DELIVERY_SETTLE)]

PACKETS_RESERVED, AGENT_RESERVED = PacketsReserved(order_id=ORDER), AgentReserved(order_id=ORDER)
PACKETS_ASSIGNED = PacketsAssigned(order_id=ORDER, packet_ids=("P-1", "P-2"))
AGENT_ASSIGNED = AgentAssigned(order_id=ORDER, agent_id="A-1")
PACKETS_REFUSED = PacketsRefused(order_id=ORDER, reason="out_of_stock")
AGENT_REFUSED = AgentRefused(order_id=ORDER, reason="no_agent")
PACKETS_RELEASED, AGENT_RELEASED = PacketsReleased(order_id=ORDER), AgentReleased(order_id=ORDER)
CANCEL = CancelOrder(order_id=ORDER)
PLACED = OrderPlaced(order_id=ORDER, packet_ids=("P-1", "P-2"), agent_id="A-1")
HAPPY = [PACKETS_RESERVED, AGENT_RESERVED, PACKETS_ASSIGNED, AGENT_ASSIGNED]


def arrived(message: Message, message_id: UUID = REQUEST) -> Incoming:
    return Incoming(message, message_id, "00-trace")


def requested(**changes: Any) -> OrderRequested:
    lines = (Line(sku="milk", quantity=2, price_cents=99), Line(sku="bread", quantity=1, price_cents=250))
    fields: dict[str, Any] = {"order_id": ORDER, "customer_id": "C-1", "store_id": "S-1", "zone": "Z-1", "lines": lines}
    return OrderRequested(**fields | changes)


def after(*messages: Message, policy: Policy = TERMS) -> Saga:
    """The saga once it has heard the request and then these."""
    return tell(begun(policy=policy), *messages, policy=policy).saga  # type: ignore[return-value]


def begun(request: OrderRequested | None = None, policy: Policy = TERMS) -> Saga:
    saga = start(arrived(request or requested()), NOW, policy).saga
    assert saga is not None
    return saga


def tell(saga: Saga, *messages: Message, now: datetime = NOW, policy: Policy = TERMS) -> Decision:
    """The last decision."""
    decision = Decision(saga)
    for message in messages:
        assert decision.saga is not None
        decision = advance(decision.saga, arrived(message), now, policy)
    return decision


def all_phases() -> Mapping[Phase, Saga]:
    return {
        Phase.RESERVING: after(PACKETS_RESERVED),
        Phase.ASSIGNING: after(*HAPPY[:3]),
        Phase.PLACED: after(*HAPPY),
        Phase.RELEASING: after(PACKETS_RESERVED, AGENT_REFUSED),
        Phase.CLOSED: after(AGENT_REFUSED, PACKETS_RELEASED, AGENT_RELEASED),
    }


UNDECIDED = (Phase.RESERVING, Phase.ASSIGNING)
NOT_PLACED = (Phase.RELEASING, Phase.CLOSED)
