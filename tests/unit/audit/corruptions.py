"""Every kind of corruption, and what the audit must say about it; here of what participants hold: I1 to I3."""

from collections.abc import Callable
from datetime import timedelta

from messages.contracts.views import Received
from order_saga.inspection.evidence import Share
from tests.unit.audit.world import (
    A_WHILE_AGO,
    BLOCKING,
    CANCELLED,
    DELIVERED,
    NOW,
    PLACED,
    STORE,
    World,
    holding,
    packets,
)

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


@found_as("I1", "delivery: the order is placed, but its reservation here is absent")
def placed_with_nothing_from_anybody(world: World) -> None:
    world.change_order(PLACED, granted={})
    del world.shares[PLACED, "store"], world.shares[PLACED, "delivery"]


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


@found_as("I1", "2 units fulfilled, but 1 wanted")
def two_agents_for_one_delivery(world: World) -> None:
    """None of them carries the order's id any more."""
    agents = ("A-2", "A-9")
    world.change_order(DELIVERED, granted={"store": ("P-4", "P-5", "P-6"), "delivery": agents})
    world.change_holding(DELIVERED, "delivery", unit_ids=agents)


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


@found_as("I3", "P-5 reserved for an order that every participant has released")
def a_lease_that_survived_the_release_of_its_order(world: World) -> None:
    world.change_holding(CANCELLED, state="reserved", unit_ids=("P-5",))
    world.change_units(CANCELLED, "store", packets(CANCELLED, "reserved", "P-5"))


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


@found_as("I3", "store: still confirmed, though delivered at")
def delivered_by_the_agent_alone(world: World) -> None:
    world.change_holding(DELIVERED, state="confirmed")
    world.change_units(DELIVERED, "store", packets(DELIVERED, "confirmed", "P-4", "P-5", "P-6"))
    world.change_holding(DELIVERED, "delivery", changed_at=NOW - timedelta(minutes=61))


@found_as("I3", "still reserved, with a lease until")
def a_lease_that_nobody_swept(world: World) -> None:
    world.change_holding(BLOCKING, expires_at=A_WHILE_AGO)


@found_as("I3", "P-7, P-8, P-9 reserved for an order that the order saga does not know")
def a_reservation_without_an_order(world: World) -> None:
    del world.orders[BLOCKING]


@found_as("I3", "P-4, P-5, P-6 fulfilled for an order that the order saga does not know")
def delivered_without_an_order(world: World) -> None:
    del world.orders[DELIVERED]
