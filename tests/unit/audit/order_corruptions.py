"""The same, of what an order's own row says, and of what a service leaves behind: I4 to I6."""

from messages.contracts.views import Parked
from tests.unit.audit.corruptions import found_as
from tests.unit.audit.world import A_WHILE_AGO, BLOCKING, CANCELLED, NOW, PLACED, World


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


@found_as("I5", "outcome placed, but the order is closed")
def an_outcome_of_another_phase(world: World) -> None:
    world.change_order(PLACED, phase="closed")


@found_as("I5", "outcome None, but the order is placed")
def a_phase_without_its_outcome(world: World) -> None:
    world.change_order(BLOCKING, phase="placed")


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
