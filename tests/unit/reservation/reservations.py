"""A reservation in each state, and how it hears of messages."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from messages.contracts.message import Message
from messages.contracts.order import DeliveryCompleted, OrderPlaced
from messages.contracts.store import AssignPackets, ReleasePackets, ReservePackets, Want
from messages.participant.allocation import Allocation
from messages.participant.answers import decide
from messages.participant.reservation import Context, Decision, Reservation, State, Timing

ORDER = UUID("00000000-0000-4000-8000-000000000001")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=90)
TERMS = Timing(inquiry_after=timedelta(seconds=30), prune_after=timedelta(days=1))
UNITS = ("P-1", "P-2")
ENOUGH = Allocation(UNITS)


def reserve(not_after: datetime = NOON + LEASE) -> ReservePackets:
    return ReservePackets(
        order_id=ORDER,
        store_id="berlin-1",
        wants=(Want(sku="milk", quantity=2),),
        lease_seconds=int(LEASE.total_seconds()),
        not_after=not_after,
    )


def assign(not_after: datetime = NOON + LEASE) -> AssignPackets:
    return AssignPackets(order_id=ORDER, not_after=not_after)


MESSAGES: dict[str, Message] = {
    "Reserve": reserve(),
    "Assign": assign(),
    "Release": ReleasePackets(order_id=ORDER),
    "OrderPlaced": OrderPlaced(order_id=ORDER, packet_ids=UNITS, agent_id="A-1"),
    "DeliveryCompleted": DeliveryCompleted(order_id=ORDER),
}


def a_reservation(state: State) -> Reservation:
    """One in this state, come about in the usual way."""
    reserved = Reservation(
        ORDER,
        State.RESERVED,
        unit_ids=UNITS,
        expires_at=NOON + LEASE,
        not_after=NOON + LEASE,
        due_at=NOON + TERMS.inquiry_after,
    )
    assigned = reserved._replace(state=State.ASSIGNED, assigned_at=NOON)
    ended = reserved._replace(unit_ids=(), due_at=None, forget_at=NOON + LEASE + TERMS.prune_after)
    return {
        State.ABSENT: Reservation(ORDER),
        State.RESERVED: reserved,
        State.ASSIGNED: assigned,
        State.CONFIRMED: assigned._replace(state=State.CONFIRMED, due_at=None),
        State.FULFILLED: assigned._replace(state=State.FULFILLED, completed=True, due_at=None, forget_at=NOON),
        State.REFUSED: ended._replace(state=State.REFUSED, reason="out_of_stock"),
        State.EXPIRED: ended._replace(state=State.EXPIRED, reason="reservation_expired"),
        State.RELEASED: ended._replace(state=State.RELEASED, reason="released"),
    }[state]


def hear(reservation: Reservation, message: Message, *, now: datetime = NOON, offer: Allocation = ENOUGH) -> Decision:
    return decide(reservation, Context(message, now, TERMS, lambda _: offer, "trace"))
