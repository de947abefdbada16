"""The audit's rules find every kind of corruption and name it, and report nothing of a clean system."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import order_saga.participants
from messages.contracts.views import Holding, Order, Parked, Received, Unit
from order_saga.inspection.audit import Report
from order_saga.inspection.commands import verdict
from order_saga.inspection.rules import check_order, check_service
from order_saga.inspection.snapshot import Account, Census, Finding, Moment, Share
from order_saga.participants import PARTICIPANTS, Participant

NOW = datetime(2030, 5, 1, 12, 0, tzinfo=UTC)
A_WHILE_AGO = NOW - timedelta(minutes=5)
SOON = NOW + timedelta(seconds=20)
GRACE = timedelta(seconds=10)
REGISTRATION = Path(order_saga.participants.__file__)
ORCHESTRATOR = REGISTRATION.parent

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
    }
    return Order(order_id, **(defaults | given))


def holding(order_id: UUID, state: str, *unit_ids: str) -> Holding:
    return Holding(order_id, state, None, unit_ids, A_WHILE_AGO + timedelta(seconds=60), A_WHILE_AGO)


def packets(
    order_id: UUID, state: str, *ids: str, kinds: tuple[str, ...] = ("milk", "milk", "bread")
) -> tuple[Unit, ...]:
    return tuple(Unit(unit_id, "north", kind, state, order_id) for unit_id, kind in zip(ids, kinds, strict=False))


@pytest.fixture
def world() -> World:
    """One order of each kind: placed, cancelled, delivered, waiting to be decided."""
    agent = Unit("A-1", "centre", "agent", "confirmed", PLACED)
    return World(
        orders={
            PLACED: order(PLACED),
            CANCELLED: order(CANCELLED, outcome="not_placed", reason="cancelled", granted={}),
            DELIVERED: order(DELIVERED, granted={"store": ("P-4", "P-5", "P-6"), "delivery": ("A-2",)}),
            BLOCKING: order(
                BLOCKING, phase="reserving", outcome=None, granted={}, deadline=SOON, decided_at=None, cleaned_at=None
            ),
        },
        shares={
            (PLACED, "store"): Share(
                STORE,
                holding(PLACED, "confirmed", "P-1", "P-2", "P-3"),
                packets(PLACED, "confirmed", "P-1", "P-2", "P-3"),
            ),
            (PLACED, "delivery"): Share(DELIVERY, holding(PLACED, "confirmed", "A-1"), (agent,)),
            (CANCELLED, "store"): Share(STORE, holding(CANCELLED, "released")),
            (CANCELLED, "delivery"): Share(DELIVERY, holding(CANCELLED, "refused")),
            (DELIVERED, "store"): Share(
                STORE,
                holding(DELIVERED, "fulfilled", "P-4", "P-5", "P-6"),
                packets(DELIVERED, "fulfilled", "P-4", "P-5", "P-6"),
            ),
            (DELIVERED, "delivery"): Share(DELIVERY, holding(DELIVERED, "fulfilled", "A-2")),
            (BLOCKING, "store"): Share(
                STORE,
                holding(BLOCKING, "reserved", "P-7", "P-8", "P-9")._replace(expires_at=SOON),
                packets(BLOCKING, "reserved", "P-7", "P-8", "P-9"),
            ),
        },
        store=Census("store_worker", stock=[(Received("north", "milk", 6), 6)]),
    )


def test_a_clean_system_is_clean(world: World) -> None:
    assert world.check() == []


Corruption = Callable[[World], None]
CORRUPTIONS: list[tuple[Corruption, str, str]] = []


def found_as(invariant: str, sentence: str) -> Callable[[Corruption], Corruption]:
    """Collect a corruption, together with what the audit must say about it."""

    def collect(corruption: Corruption) -> Corruption:
        CORRUPTIONS.append((corruption, invariant, sentence))
        return corruption

    return collect


@found_as("I1", "store: the order is placed, but its reservation here is absent")
def placed_without_packets(world: World) -> None:
    del world.shares[PLACED, "store"]


@found_as("I1", "delivery: the order is placed, but its reservation here is absent")
def placed_without_an_agent(world: World) -> None:
    del world.shares[PLACED, "delivery"]


@found_as("I1", "its reservation here is released")
def placed_and_released(world: World) -> None:
    world.shares[PLACED, "store"] = Share(STORE, holding(PLACED, "released"))


@found_as("I1", "its reservation here is reserved")
def placed_and_only_reserved(world: World) -> None:
    world.change_holding(PLACED, state="reserved")
    world.change_units(PLACED, "store", packets(PLACED, "reserved", "P-1", "P-2", "P-3"))


@found_as("I1", "P-1, P-2, P-77 promised to the customer, but P-1, P-2, P-3 confirmed")
def other_packets_than_promised(world: World) -> None:
    world.change_order(PLACED, granted={"store": ("P-1", "P-2", "P-77"), "delivery": ("A-1",)})


@found_as("I1", "1 x bread missing")
def another_sku_than_ordered(world: World) -> None:
    three_milks = packets(PLACED, "confirmed", "P-1", "P-2", "P-3", kinds=("milk", "milk", "milk"))
    world.change_units(PLACED, "store", three_milks)


@found_as("I1", "store: P-1, P-2, P-3 from another place than south")
def packets_of_another_store(world: World) -> None:
    world.change_order(PLACED, store_id="south")


@found_as("I1", "delivery: A-1 from another place than south")
def an_agent_of_another_zone(world: World) -> None:
    world.change_order(PLACED, zone="south")


@found_as("I1", "1 units fulfilled, but 3 wanted")
def fewer_packets_than_ordered(world: World) -> None:
    world.change_order(DELIVERED, granted={"store": ("P-4",), "delivery": ("A-2",)})
    world.change_holding(DELIVERED, unit_ids=("P-4",))


@found_as("I2", "store: P-3 confirmed, but held by another order or by none")
def a_packet_of_another_order(world: World) -> None:
    world.change_units(PLACED, "store", packets(PLACED, "confirmed", "P-1", "P-2"))


@found_as("I2", "store: P-6 fulfilled, but held by another order or by none")
def a_packet_that_was_given_away_twice(world: World) -> None:
    world.change_units(DELIVERED, "store", packets(DELIVERED, "fulfilled", "P-4", "P-5"))


@found_as("I2", "1 x bread more than requested")
def more_packets_than_asked_for(world: World) -> None:
    ids, kinds = ("P-7", "P-8", "P-9", "P-10"), ("milk", "milk", "bread", "bread")
    world.change_holding(BLOCKING, unit_ids=ids)
    world.change_units(BLOCKING, "store", packets(BLOCKING, "reserved", *ids, kinds=kinds))


@found_as("I2", "delivery: 1 x agent more than requested")
def two_agents_for_one_order(world: World) -> None:
    agents = ("A-1", "A-9")
    world.change_order(PLACED, granted={"store": ("P-1", "P-2", "P-3"), "delivery": agents})
    world.change_holding(PLACED, "delivery", unit_ids=agents)
    world.change_units(PLACED, "delivery", packets(PLACED, "confirmed", *agents, kinds=("agent", "agent")))


@found_as("I3", "north should have 6 of milk, sold or not, but has 5")
def a_packet_that_vanished(world: World) -> None:
    world.change_store(stock=[(Received("north", "milk", 6), 5)])


@found_as("I3", "north should have 6 of milk, sold or not, but has 7")
def a_packet_that_nobody_received(world: World) -> None:
    world.change_store(stock=[(Received("north", "milk", 6), 7)])


@found_as("I3", "P-5 held, but the reservation is released without them")
def a_packet_that_stayed_behind(world: World) -> None:
    world.change_units(CANCELLED, "store", packets(CANCELLED, "assigned", "P-5"))


@found_as("I3", "P-5 assigned for an order that every participant has released")
def a_reservation_that_survived_its_release(world: World) -> None:
    world.change_holding(CANCELLED, state="assigned", unit_ids=("P-5",))
    world.change_units(CANCELLED, "store", packets(CANCELLED, "assigned", "P-5"))


@found_as("I3", "fulfilled, but the order is not_placed")
def fulfilled_and_not_placed(world: World) -> None:
    world.change_holding(CANCELLED, state="fulfilled")


@found_as("I3", "confirmed, but the order is undecided")
def confirmed_and_undecided(world: World) -> None:
    world.change_holding(BLOCKING, state="confirmed")
    world.change_units(BLOCKING, "store", packets(BLOCKING, "confirmed", "P-7", "P-8", "P-9"))


@found_as("I3", "still assigned, though the order was placed at")
def placed_and_never_confirmed(world: World) -> None:
    world.change_holding(PLACED, state="assigned")
    world.change_units(PLACED, "store", packets(PLACED, "assigned", "P-1", "P-2", "P-3"))


@found_as("I3", "still reserved, though its lease ended at")
def a_lease_that_nobody_swept(world: World) -> None:
    world.change_holding(BLOCKING, expires_at=A_WHILE_AGO)


@found_as("I3", "P-7, P-8, P-9 reserved for an order that the order saga does not know")
def a_reservation_without_an_order(world: World) -> None:
    del world.orders[BLOCKING]


@found_as("I4", "still undecided (reserving), due at")
def undecided_past_its_deadline(world: World) -> None:
    world.change_order(BLOCKING, deadline=A_WHILE_AGO)


@found_as("I4", "not released by every participant (releasing)")
def never_clean(world: World) -> None:
    world.change_order(CANCELLED, phase="releasing", cleaned_at=None)


@found_as("I5", "outcome placed, but decided at None")
def an_outcome_without_a_decision(world: World) -> None:
    world.change_order(PLACED, decided_at=None)


@found_as("I5", "outcome None, but decided at")
def a_decision_without_an_outcome(world: World) -> None:
    world.change_order(BLOCKING, decided_at=NOW)


@found_as("I5", "outcome placed, but the customer was told not_placed and placed")
def two_outcomes_told(world: World) -> None:
    world.change_order(PLACED, told=frozenset({"placed", "not_placed"}))


@found_as("I5", "outcome None, but the customer was told placed")
def an_outcome_told_too_early(world: World) -> None:
    world.change_order(BLOCKING, told=frozenset({"placed"}))


@found_as("I6", "stuck in the outbox: 3 envelopes")
def an_outbox_that_does_not_drain(world: World) -> None:
    world.change_store(unpublished=3)


@found_as("I6", "parked: ReservePackets/1.0 from store_worker.reserve: handler_failed, boom")
def a_parked_document(world: World) -> None:
    queue, reason = "store_worker.reserve", "handler_failed"
    parked = Parked(BLOCKING, "ReservePackets/1.0", PLACED, queue, reason, "boom", NOW, from_outside=False)
    world.change_store(parked=[parked])


@pytest.mark.parametrize(
    ("corrupt", "invariant", "sentence"), CORRUPTIONS, ids=[corrupt.__name__ for corrupt, _, _ in CORRUPTIONS]
)
def test_corruption_is_found_and_named(world: World, corrupt: Corruption, invariant: str, sentence: str) -> None:
    corrupt(world)

    found = world.check()

    assert any(each.invariant == invariant and sentence in each.sentence for each in found), found


def test_a_finding_names_its_order(world: World) -> None:
    undecided_past_its_deadline(world)

    assert [finding.order_id for finding in world.check()] == [BLOCKING]


JUST_NOW = NOW - GRACE / 2


def a_deadline_that_just_passed(world: World) -> None:
    world.change_order(BLOCKING, deadline=JUST_NOW)


def a_lease_that_just_expired(world: World) -> None:
    world.change_holding(BLOCKING, expires_at=JUST_NOW)


def a_release_on_its_way(world: World) -> None:
    a_reservation_that_survived_its_release(world)
    world.change_order(CANCELLED, cleaned_at=None, decided_at=JUST_NOW)


def a_confirmation_on_its_way(world: World) -> None:
    placed_and_never_confirmed(world)
    world.change_order(PLACED, decided_at=JUST_NOW)


def a_confirmation_that_is_still_to_be_asked_for(world: World) -> None:
    placed_and_never_confirmed(world)
    world.change_order(PLACED, decided_at=NOW - timedelta(seconds=100))


def an_order_younger_than_the_snapshot(world: World) -> None:
    a_reservation_without_an_order(world)
    world.change_holding(BLOCKING, changed_at=JUST_NOW)


@pytest.mark.parametrize(
    "begin",
    [
        a_deadline_that_just_passed,
        a_lease_that_just_expired,
        a_release_on_its_way,
        a_confirmation_on_its_way,
        a_confirmation_that_is_still_to_be_asked_for,
        an_order_younger_than_the_snapshot,
    ],
)
def test_what_is_merely_on_its_way_is_wrong_at_rest_only(world: World, begin: Corruption) -> None:
    begin(world)
    assert world.check() == []

    world.moment = replace(world.moment, at_rest=True)
    assert world.check() != []


def test_a_reservation_may_be_gone_a_day_after_the_deadline_of_a_placed_order(world: World) -> None:
    del world.shares[PLACED, "store"]
    world.change_order(PLACED, deadline=NOW - timedelta(hours=25))
    assert world.check() == []

    world.change_order(PLACED, deadline=NOW - timedelta(hours=23))
    assert [finding.invariant for finding in world.check()] == ["I1"]


def test_a_reservation_that_is_there_is_held_to_the_promise_for_ever(world: World) -> None:
    placed_and_released(world)
    world.change_order(PLACED, deadline=NOW - timedelta(hours=25))

    assert [finding.invariant for finding in world.check()] == ["I1"]


def test_an_order_of_which_only_the_outcome_is_remembered_is_not_counted(world: World) -> None:
    world.change_order(PLACED, quantities={}, store_id=None, zone=None)

    assert world.check() == []


def test_an_agent_who_has_delivered_may_be_anywhere(world: World) -> None:
    world.change_order(DELIVERED, zone="south")

    assert world.check() == []


PAYMENT = replace(
    STORE,
    name="payment",
    worker="payment_worker",
    wanted=lambda _: {"receipt": 1},
    place=lambda order: order.zone,
    used_up=True,
)
RECEIPT = Unit("R-1", "centre", "receipt", "confirmed", PLACED)


def wrong_with_payment(state: str, *units: Unit, payment: Participant = PAYMENT) -> list[tuple[str, str]]:
    """What is said of a placed order that has a share of a third participant, to which R-1 was granted."""
    placed = order(PLACED, granted={"payment": ("R-1",)})
    share = Share(payment, holding(PLACED, state, "R-1"), units)
    found = check_order(Account(PLACED, placed, {"payment": share}), Moment(NOW, GRACE))
    return [(finding.invariant, finding.sentence) for finding in found]


def test_a_third_participant_that_keeps_its_word_is_not_accused() -> None:
    assert wrong_with_payment("confirmed", RECEIPT) == []


@pytest.mark.parametrize(("granted", "wrong"), [({"store": ("P-1",)}, []), ({"payment": ("R-1",)}, ["I1"])])
def test_who_was_registered_after_an_order_was_placed_need_not_know_it(
    granted: dict[str, tuple[str, ...]], wrong: list[str]
) -> None:
    placed = order(PLACED, granted=granted)
    found = check_order(Account(PLACED, placed, {"payment": Share(PAYMENT)}), Moment(NOW, GRACE))
    assert [finding.invariant for finding in found] == wrong


def test_a_third_participant_is_held_to_the_outcome() -> None:
    assert wrong_with_payment("refused") == [
        ("I1", "payment: the order is placed, but its reservation here is refused")
    ]


def test_a_third_participant_is_held_to_what_its_registration_says_is_wanted() -> None:
    two = replace(PAYMENT, wanted=lambda _: {"receipt": 2})
    another = replace(PAYMENT, wanted=lambda _: {"invoice": 1})

    assert wrong_with_payment("confirmed", RECEIPT, payment=two) == [("I1", "payment: 1 units confirmed, but 2 wanted")]
    assert wrong_with_payment("confirmed", RECEIPT, payment=another) == [
        ("I1", "payment: 1 x invoice missing"),
        ("I2", "payment: 1 x receipt more than requested"),
    ]


def test_a_third_participant_is_held_to_the_place_that_its_registration_says() -> None:
    elsewhere = replace(PAYMENT, place=lambda _: "south")
    anywhere = replace(PAYMENT, place=lambda _: None)

    assert wrong_with_payment("confirmed", RECEIPT, payment=elsewhere) == [
        ("I1", "payment: R-1 from another place than south")
    ]
    assert wrong_with_payment("confirmed", RECEIPT, payment=anywhere) == []


def test_only_what_is_used_up_stays_the_orders_when_it_is_fulfilled() -> None:
    works_on = replace(PAYMENT, used_up=False)

    assert wrong_with_payment("fulfilled") == [("I2", "payment: R-1 fulfilled, but held by another order or by none")]
    assert wrong_with_payment("fulfilled", payment=works_on) == []


@pytest.mark.parametrize("module", sorted({*ORCHESTRATOR.rglob("*.py")} - {REGISTRATION}), ids=str)
def test_who_takes_part_is_known_to_the_registration_only(module: Path) -> None:
    nodes = list(ast.walk(ast.parse(module.read_text())))
    outgoing = {node.value for node in nodes if isinstance(node, ast.Constant)}
    imported = {name for node in nodes for name in imported_by(node)}
    assert not outgoing & {word for each in PARTICIPANTS.values() for word in (each.name, each.worker)}
    assert not imported & {each.assign.__module__ for each in PARTICIPANTS.values()}


def imported_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (each.name for each in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (f"{node.module}", *(f"{node.module}.{each.name}" for each in node.names))


@pytest.mark.parametrize(
    ("findings", "orders", "parked", "told"),
    [
        (0, 0, 0, "clean: 0 orders"),
        (0, 1, 1, "clean: 1 order; 1 document parked through no fault of ours"),
        (1, 2, 2, "1 finding: 2 orders; 2 documents parked through no fault of ours"),
        (2, 1, 0, "2 findings: 1 order"),
    ],
)
def test_the_verdict_counts_one_as_one(findings: int, orders: int, parked: int, told: str) -> None:
    assert verdict(Report([Finding("I1", "wrong")] * findings, orders, parked)) == told
