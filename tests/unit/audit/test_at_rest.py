"""What is merely on its way is wrong at rest only."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.audit.corruptions import (
    Corruption,
    a_reservation_that_survived_its_release,
    a_reservation_without_an_order,
    delivered_by_the_agent_alone,
    placed_and_never_confirmed,
)
from tests.unit.audit.world import BLOCKING, CANCELLED, DELIVERED, GRACE, NOW, PLACED, World

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


@pytest.mark.parametrize("at_rest", [True, False])
def test_a_delivery_that_one_participant_may_still_hear_of_is_not_wrong(world: World, *, at_rest: bool) -> None:
    delivered_by_the_agent_alone(world)
    world.change_holding(DELIVERED, "delivery", changed_at=NOW - timedelta(minutes=59))
    world.moment = replace(world.moment, at_rest=at_rest)

    assert not [finding for finding in world.check() if "delivered at" in finding.sentence]


@pytest.mark.parametrize(("seconds", "found"), [(119, []), (121, ["I3"])])
def test_a_participant_has_two_minutes_to_hear_that_an_order_is_placed_and_no_more(
    world: World, seconds: int, found: list[str]
) -> None:
    placed_and_never_confirmed(world)
    world.change_order(PLACED, decided_at=NOW - timedelta(seconds=seconds))

    assert [finding.invariant for finding in world.check()] == found
