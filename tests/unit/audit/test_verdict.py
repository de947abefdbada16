"""The verdict counts what was found and what is parked, and one as one; a finding is a line."""

import pytest

from order_saga.inspection.audit import Report
from order_saga.inspection.commands import finding_line, verdict
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


def test_a_finding_is_one_line_whatever_it_quotes() -> None:
    finding = Finding(
        "I6", "parked: a document from a.queue: handler_failed, x\nDETAIL:  \x1b[2J", service="store_worker"
    )
    told = r"I6  store_worker  parked: a document from a.queue: handler_failed, x\nDETAIL:  \x1b[2J"
    assert finding_line(finding) == told
