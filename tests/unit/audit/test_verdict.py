"""The verdict counts what was found and what is parked, and one as one."""

import pytest

from order_saga.inspection.audit import Report
from order_saga.inspection.commands import verdict
from order_saga.inspection.evidence import Finding


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
