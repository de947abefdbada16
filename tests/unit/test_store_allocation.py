"""What an order wants of a store, and why it is refused."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from messages.contracts.store import ReservePackets
from messages.contracts.store import Want as PacketWant
from messages.participant.allocation import Want
from store_worker.allocation import Found, pool_of, wants_of


def test_an_order_wants_every_line_from_its_own_store() -> None:
    reserve = ReservePackets(
        order_id=uuid4(),
        store_id="berlin-1",
        wants=(PacketWant(sku="milk", quantity=2), PacketWant(sku="bread", quantity=1)),
        lease_seconds=60,
        not_after=datetime.now(UTC),
    )

    assert wants_of(reserve) == [Want(("berlin-1", "milk"), 2), Want(("berlin-1", "bread"), 1)]


def test_a_sku_in_two_lines_is_wanted_once_with_both_quantities() -> None:
    milk = PacketWant(sku="milk", quantity=2)
    reserve = ReservePackets(
        order_id=uuid4(), store_id="berlin-1", wants=(milk, milk), lease_seconds=60, not_after=datetime.now(UTC)
    )

    assert wants_of(reserve) == [Want(("berlin-1", "milk"), 4)]


@pytest.mark.parametrize(("known", "reason"), [(True, "out_of_stock"), (False, "unknown_sku")])
def test_what_never_was_there_is_not_out_of_stock(known: bool, reason: str) -> None:
    assert pool_of(Found("berlin-1", "milk", known, (), 0)).reason == reason


@pytest.mark.parametrize(
    ("visible", "complete"),
    [
        pytest.param(1, True, id="everything that was free was locked by us"),
        pytest.param(2, False, id="something was locked by somebody else, or taken while we waited for it"),
    ],
)
def test_a_miss_is_real_only_if_nothing_was_passed_over(visible: int, complete: bool) -> None:
    found = Found("berlin-1", "milk", known=True, packet_ids=("M-1",), visible=visible)
    assert pool_of(found).complete is complete
