"""What each service lets others read: a row type for each view in the schema `published` of its database.

Tuples, because an audit reads millions of them.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

PLACED = "placed"
NOT_PLACED = "not_placed"

RESERVED = "reserved"
ASSIGNED = "assigned"
CONFIRMED = "confirmed"
FULFILLED = "fulfilled"

HELD = (RESERVED, ASSIGNED, CONFIRMED)
"""States in which units are the order's. Fulfilled ones were; refused, expired and released ones are not."""


class Order(NamedTuple):
    """`published.orders`: an order the orchestrator has accepted, and what became of it."""

    order_id: UUID
    phase: str
    outcome: str | None
    """`placed`, `not_placed`, or None while it is undecided."""
    participant: str | None
    reason: str | None
    store_id: str | None
    """None, like zone and deadline, if the order was cancelled before its request arrived."""
    zone: str | None
    quantities: Mapping[str, int]
    """sku -> packets wanted."""
    granted: Mapping[str, tuple[str, ...]]
    """participant -> the units that it assigned, by its answer."""
    accepted_at: datetime
    deadline: datetime | None
    decided_at: datetime | None
    cleaned_at: datetime | None
    told: frozenset[str]
    """The outcomes that were published to the customer, by the orchestrator's own timeline."""
    damaged: tuple[str, ...]
    """Columns of the row that contain what the orchestrator never writes. The fields of that name are empty then."""


class Holding(NamedTuple):
    """`published.holdings`: what a participant's reservation row says about an order. `agents` reads more of it."""

    order_id: UUID
    state: str
    reason: str | None
    unit_ids: tuple[str, ...]
    expires_at: datetime | None
    changed_at: datetime


class Unit(NamedTuple):
    """`published.stock`: one packet or one agent. Each worker's own commands read further columns of it."""

    unit_id: str
    place: str
    """The packet's store, or the agent's zone."""
    kind: str
    """The packet's sku, or `agent`."""
    state: str
    """free, reserved, assigned, confirmed, fulfilled, retired, offline."""
    order_id: UUID | None


class Received(NamedTuple):
    """`published.received`: how many units of a kind ever came to a place."""

    place: str
    kind: str
    received: int


class TimelineRow(NamedTuple):
    """`published.timeline`: one line of an order's timeline, as one service wrote it."""

    order_id: UUID
    at: datetime
    event: str
    detail: str
    message_id: UUID | None


class Parked(NamedTuple):
    """`published.parked`, without the body: a document that could not be handled."""

    message_id: UUID
    type: str | None
    order_id: UUID | None
    queue: str
    reason: str
    detail: str
    parked_at: datetime
    from_outside: bool
