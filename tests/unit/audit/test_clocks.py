"""What was written before a clock went back waits until its time comes again, and is not taken for young."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from tests.unit.audit.corruptions import placed_and_never_confirmed
from tests.unit.audit.world import BLOCKING, CANCELLED, NOW, PLACED, World

Change = Callable[[World, datetime], None]
FIRST, LAST = datetime.min, datetime.max  # noqa: DTZ901  as asyncpg reads infinity
"""Without a zone."""


def accepted(world: World, at: datetime) -> None:
    world.change_order(BLOCKING, accepted_at=at, deadline=NOW + timedelta(days=1))


def given_up(world: World, at: datetime) -> None:
    world.change_order(CANCELLED, phase="releasing", cleaned_at=None, decided_at=at)


def placed(world: World, at: datetime) -> None:
    placed_and_never_confirmed(world)
    world.change_order(PLACED, decided_at=at)


def reserved(world: World, at: datetime) -> None:
    world.change_holding(BLOCKING, changed_at=at, expires_at=NOW + timedelta(days=1))


def reserved_for_an_unknown_order(world: World, at: datetime) -> None:
    del world.orders[BLOCKING]
    world.change_holding(BLOCKING, changed_at=at)


CHANGES = [
    (accepted, "I4", "still undecided (reserving), due at"),
    (given_up, "I4", "not placed since"),
    (placed, "I3", "store: still assigned, though the order was placed at"),
    (reserved, "I3", "store: still reserved, with a lease until"),
    (reserved_for_an_unknown_order, "I3", "for an order that the order saga does not know"),
]


@pytest.mark.parametrize(("change", "invariant", "sentence"), CHANGES)
@pytest.mark.parametrize("at", [NOW + timedelta(hours=2), LAST])
def test_what_has_happened_tomorrow_is_wrong(
    world: World, change: Change, invariant: str, sentence: str, at: datetime
) -> None:
    change(world, at)

    assert any(each.invariant == invariant and sentence in each.sentence for each in world.check()), world.check()


@pytest.mark.parametrize(("change", "invariant", "sentence"), CHANGES)
def test_clocks_that_are_minutes_apart_accuse_nobody(
    world: World, change: Change, invariant: str, sentence: str
) -> None:
    change(world, NOW + timedelta(minutes=5))

    assert not [each for each in world.check() if each.invariant == invariant and sentence in each.sentence]


@pytest.mark.parametrize(("deadline", "found"), [(FIRST, ["I4"]), (LAST, [])])
def test_a_deadline_may_be_infinite(world: World, deadline: datetime, found: list[str]) -> None:
    world.change_order(BLOCKING, deadline=deadline)

    assert [each.invariant for each in world.check()] == found


@pytest.mark.parametrize(("deadline", "found"), [(FIRST, []), (LAST, ["I1"])])
def test_so_may_that_of_an_order_whose_reservation_is_gone(world: World, deadline: datetime, found: list[str]) -> None:
    del world.shares[PLACED, "store"]
    world.change_order(PLACED, deadline=deadline)

    assert [each.invariant for each in world.check()] == found


def test_what_has_no_time_is_overdue(world: World) -> None:
    world.change_order(BLOCKING, deadline=None)
    world.change_holding(BLOCKING, expires_at=None)
    world.change_order(CANCELLED, phase="releasing", cleaned_at=None, decided_at=None)

    assert {each.invariant for each in world.check() if each.order_id == BLOCKING} == {"I3", "I4"}
    assert {each.invariant for each in world.check() if each.order_id == CANCELLED} == {"I4", "I5"}
