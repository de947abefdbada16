"""What may have been forgotten or have moved on since is not missed, and what is still there keeps its promise."""

from datetime import timedelta

from tests.unit.audit.corruptions import placed_and_released
from tests.unit.audit.world import CANCELLED, DELIVERED, NOW, PLACED, World


def test_a_reservation_may_be_gone_a_day_after_the_deadline_of_a_placed_order(world: World) -> None:
    del world.shares[PLACED, "store"]
    world.change_order(PLACED, deadline=NOW - timedelta(hours=25))
    assert world.check() == []

    world.change_order(PLACED, deadline=NOW - timedelta(hours=23))
    assert [finding.invariant for finding in world.check()] == ["I1"]


def test_where_the_deadline_is_not_known_the_decision_counts(world: World) -> None:
    del world.shares[PLACED, "store"]
    world.change_order(PLACED, deadline=None, decided_at=NOW - timedelta(hours=25))
    assert world.check() == []

    world.change_order(PLACED, decided_at=None)
    assert [finding.invariant for finding in world.check()] == ["I1", "I5"]


def test_a_reservation_that_is_there_is_held_to_the_promise_for_ever(world: World) -> None:
    placed_and_released(world)
    world.change_order(PLACED, deadline=NOW - timedelta(hours=25))

    assert [finding.invariant for finding in world.check()] == ["I1"]


def test_who_holds_nothing_for_an_order_never_heard_of_is_not_accused(world: World) -> None:
    del world.orders[CANCELLED]

    assert world.check() == []


def test_an_order_of_which_only_the_outcome_is_remembered_is_not_counted(world: World) -> None:
    world.change_order(PLACED, quantities={}, store_id=None, zone=None)

    assert world.check() == []


def test_an_agent_who_has_delivered_may_be_anywhere(world: World) -> None:
    world.change_order(DELIVERED, zone="south")

    assert world.check() == []


def test_a_delivery_that_everybody_has_heard_of_long_ago_accuses_nobody(world: World) -> None:
    for name in ("store", "delivery"):
        world.change_holding(DELIVERED, name, changed_at=NOW - timedelta(hours=2))

    assert world.check() == []
