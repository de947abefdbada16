"""A small system for the audit to look at: its orders, reservations, units and stock."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from messages.contracts.views import Holding, Order, Unit
from order_saga.inspection.evidence import Account, Census, Finding, Moment, Share
from order_saga.inspection.rules import check_order, check_service
from order_saga.participants import PARTICIPANTS

NOW = datetime(2030, 5, 1, 12, 0, tzinfo=UTC)
A_WHILE_AGO = NOW - timedelta(minutes=5)
SOON = NOW + timedelta(seconds=20)
GRACE = timedelta(seconds=10)

STORE, DELIVERY = PARTICIPANTS["store"], PARTICIPANTS["delivery"]
PLACED, CANCELLED, DELIVERED, BLOCKING = (UUID(int=number) for number in (1, 2, 3, 4))


@dataclass
class World:
    """A small system in which everything is as it should be, until a test corrupts it."""

    orders: dict[UUID, Order] = field(default_factory=dict)
    shares: dict[tuple[UUID, str], Share] = field(default_factory=dict)
    store: Census = field(default_factory=lambda: Census("store_worker"))
    moment: Moment = field(default_factory=lambda: Moment(NOW, GRACE))

    def check(self) -> list[Finding]:
        ids = sorted(self.orders.keys() | {order_id for order_id, _ in self.shares})
        about_orders = (finding for order_id in ids for finding in check_order(self.account(order_id), self.moment))
        return [*about_orders, *check_service(self.store)]

    def account(self, order_id: UUID) -> Account:
        shares = {name: self.shares.get((order_id, name), Share(each)) for name, each in PARTICIPANTS.items()}
        return Account(order_id, self.orders.get(order_id), shares)

    def change_order(self, order_id: UUID, **changes: Any) -> None:
        self.orders[order_id] = self.orders[order_id]._replace(**changes)

    def change_holding(self, order_id: UUID, name: str = "store", **changes: Any) -> None:
        share = self.shares[order_id, name]
        assert share.holding is not None
        self.shares[order_id, name] = replace(share, holding=share.holding._replace(**changes))

    def change_store(self, **changes: Any) -> None:
        self.store = replace(self.store, **changes)

    def change_units(self, order_id: UUID, name: str, units: tuple[Unit, ...]) -> None:
        self.shares[order_id, name] = replace(self.shares[order_id, name], units=units)


def order(order_id: UUID, **given: Any) -> Order:
    defaults: dict[str, Any] = {
        "phase": "placed",
        "outcome": "placed",
        "participant": None,
        "reason": None,
        "store_id": "north",
        "zone": "centre",
        "quantities": {"milk": 2, "bread": 1},
        "granted": {"store": ("P-1", "P-2", "P-3"), "delivery": ("A-1",)},
        "accepted_at": A_WHILE_AGO,
        "deadline": A_WHILE_AGO + timedelta(seconds=30),
        "decided_at": A_WHILE_AGO + timedelta(seconds=1),
        "cleaned_at": A_WHILE_AGO + timedelta(seconds=1),
        "told": frozenset(),
        "damaged": (),
    }
    return Order(order_id, **(defaults | given))


def holding(order_id: UUID, state: str, *unit_ids: str) -> Holding:
    return Holding(order_id, state, None, unit_ids, A_WHILE_AGO + timedelta(seconds=60), A_WHILE_AGO)


def packets(
    order_id: UUID, state: str, *ids: str, kinds: tuple[str, ...] = ("milk", "milk", "bread")
) -> tuple[Unit, ...]:
    return tuple(Unit(unit_id, "north", kind, state, order_id) for unit_id, kind in zip(ids, kinds, strict=False))
