"""Every kind of corruption is found and named, and nothing is found in a clean system."""

import pytest

from tests.unit.audit.corruptions import CORRUPTIONS, Corruption
from tests.unit.audit.order_corruptions import undecided_past_its_deadline
from tests.unit.audit.world import BLOCKING, PLACED, World


def test_a_clean_system_is_clean(world: World) -> None:
    assert world.check() == []


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


@pytest.mark.parametrize(
    ("number", "named"), [(5, "P-1, P-2, P-3, P-4, P-5"), (6, "P-1, P-2, P-3, P-4, P-5 and 1 more")]
)
def test_a_finding_names_five_units_and_counts_the_others(world: World, number: int, named: str) -> None:
    promised = tuple(f"P-{each}" for each in range(1, number + 1))
    world.change_order(PLACED, granted={"store": promised, "delivery": ("A-1",)})

    assert [finding.sentence for finding in world.check()] == [
        f"store: {named} promised to the customer, but P-1, P-2, P-3 confirmed"
    ]
