"""Who gets which units: all an order wants or nothing, first come first served."""

from hypothesis import given
from hypothesis import strategies as st

from messages.participant.allocation import Allocation, Pool, Want, allocate, total_demand

MILK = ("berlin-1", "milk")
BREAD = ("berlin-1", "bread")


def pool(*unit_ids: str, complete: bool = True) -> Pool:
    return Pool(unit_ids, "out_of_stock", complete)


def test_an_order_gets_the_first_units_of_each_shelf() -> None:
    pools = {MILK: pool("M-1", "M-2", "M-3"), BREAD: pool("B-1")}

    assert allocate([Want(MILK, 2), Want(BREAD, 1)], pools) == Allocation(("M-1", "M-2", "B-1"))
    assert allocate([Want(MILK, 1)], pools) == Allocation(("M-3",))


def test_what_one_order_cannot_use_is_there_for_the_next() -> None:
    pools = {MILK: pool("M-1"), BREAD: pool()}

    assert allocate([Want(MILK, 1), Want(BREAD, 1)], pools) == Allocation(reason="out_of_stock")
    assert allocate([Want(MILK, 1)], pools) == Allocation(("M-1",))


def test_a_miss_that_may_be_due_to_a_lock_is_not_certain() -> None:
    assert allocate([Want(MILK, 1)], {MILK: pool(complete=False)}) == Allocation(conclusive=False)


def test_one_real_miss_settles_it() -> None:
    pools = {MILK: pool(complete=False), BREAD: pool(complete=True)}

    assert allocate([Want(MILK, 1), Want(BREAD, 1)], pools) == Allocation(reason="out_of_stock")


def test_enough_is_enough_though_others_hold_locks() -> None:
    assert allocate([Want(MILK, 1)], {MILK: pool("M-1", complete=False)}) == Allocation(("M-1",))


def test_needs_are_added_up_in_the_order_of_shelves() -> None:
    assert total_demand([Want(MILK, 1), Want(BREAD, 2), Want(MILK, 3)]) == [Want(BREAD, 2), Want(MILK, 4)]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=12), st.integers(0, 10), st.integers(0, 10))
def test_no_unit_is_given_twice_and_none_is_lost(orders: list[tuple[int, int]], milk: int, bread: int) -> None:
    pools = {MILK: pool(*(f"M-{n}" for n in range(milk))), BREAD: pool(*(f"B-{n}" for n in range(bread)))}

    offers = [allocate([Want(MILK, m), Want(BREAD, b)], pools) for m, b in orders]

    given_away = [unit_id for each in offers for unit_id in each.unit_ids]
    assert len(given_away) == len(set(given_away))
    assert len(given_away) + sum(each.left for each in pools.values()) == milk + bread
    for (m, b), each in zip(orders, offers, strict=True):
        assert len(each.unit_ids) == (m + b if each.reason is None else 0)
