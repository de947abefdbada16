"""A third participant is held to the outcome, and to what its registration says of it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from messages.contracts.views import Unit
from order_saga.inspection.evidence import Account, Moment, Share
from order_saga.inspection.rules import check_order
from order_saga.participants import Participant
from tests.unit.audit.world import GRACE, NOW, PLACED, STORE, holding, order

PAYMENT = replace(
    STORE,
    name="payment",
    worker="payment_worker",
    wanted=lambda _: {"receipt": 1},
    place=lambda order: order.zone,
    used_up=True,
)
RECEIPT = Unit("R-1", "centre", "receipt", "confirmed", PLACED)


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
    assert wrong_with_payment("fulfilled", RECEIPT._replace(state="fulfilled"), payment=works_on) == []


def test_of_several_deliveries_the_earliest_counts() -> None:
    """What one participant has just heard of, another may have heard of long ago."""
    just_now, long_ago = (
        Share(PAYMENT, holding(PLACED, "fulfilled", "R-1")._replace(changed_at=NOW - ago))
        for ago in (timedelta(minutes=1), timedelta(hours=2))
    )
    waiting = Share(PAYMENT, holding(PLACED, "confirmed", "R-1"))
    account = Account(PLACED, order(PLACED), {"store": just_now, "delivery": long_ago, "payment": waiting})

    found = [finding.sentence for finding in check_order(account, Moment(NOW, GRACE))]

    assert f"payment: still confirmed, though delivered at {NOW - timedelta(hours=2)}" in found


def wrong_with_payment(state: str, *units: Unit, payment: Participant = PAYMENT) -> list[tuple[str, str]]:
    """What is said of a placed order that has a share of a third participant, to which R-1 was granted."""
    placed = order(PLACED, granted={"payment": ("R-1",)})
    share = Share(payment, holding(PLACED, state, "R-1"), units)
    found = check_order(Account(PLACED, placed, {"payment": share}), Moment(NOW, GRACE))
    return [(finding.invariant, finding.sentence) for finding in found]
