"""What is counted has few series, whoever chooses the words."""

from messages.transport import metrics
from messages.transport.metrics import Metrics


def counted(metrics: Metrics, outcome: str, reason: str) -> float | None:
    labels = {"outcome": outcome, "reason": reason}
    return metrics.registry.get_sample_value("ordersaga_outcomes_total", labels)


def test_outcomes_are_counted_by_their_reason() -> None:
    counting = Metrics()
    counting.outcomes.count([("placed", ""), ("not_placed", "no_agent"), ("placed", "")])
    counting.outcomes.count([("placed", "")])
    assert (counted(counting, "placed", ""), counted(counting, "not_placed", "no_agent")) == (3, 1)


def test_reasons_without_end_share_one_series() -> None:
    counting = Metrics()
    counting.outcomes.count([("not_placed", "no_agent")])
    counting.outcomes.count(("not_placed", f"reason {number}") for number in range(1_000))
    counting.outcomes.count([("not_placed", "no_agent")])
    assert counted(counting, "not_placed", "no_agent") == 2
    assert counted(counting, "not_placed", "other") == 1_001 - metrics.MOST_OUTCOMES
    (family,) = [each for each in counting.registry.collect() if each.name == "ordersaga_outcomes"]
    assert sum(sample.name == "ordersaga_outcomes_total" for sample in family.samples) == metrics.MOST_OUTCOMES + 1
