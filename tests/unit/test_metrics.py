"""The number of series is limited, whatever reasons other services send."""

from messages.transport import metrics
from messages.transport.database.clock_offset import ClockOffset
from messages.transport.handled import Decided
from messages.transport.metrics import Metrics
from messages.transport.service import Measure
from messages.transport.version import UNKNOWN, version


def counted(metrics: Metrics, outcome: str, reason: str) -> float | None:
    labels = {"outcome": outcome, "reason": reason}
    return metrics.registry.get_sample_value("ordersaga_outcomes_total", labels)


def test_outcomes_are_counted_by_their_reason() -> None:
    counting = Metrics()
    counting.outcomes.count([Decided("placed"), Decided("not_placed", "no_agent"), Decided("placed")])
    counting.outcomes.count([Decided("placed")])
    assert (counted(counting, "placed", ""), counted(counting, "not_placed", "no_agent")) == (3, 1)


def test_reasons_without_end_share_one_series() -> None:
    counting = Metrics()
    counting.outcomes.count([Decided("not_placed", "no_agent")])
    counting.outcomes.count([Decided("not_placed", f"reason {number}") for number in range(1_000)])
    counting.outcomes.count([Decided("not_placed", "no_agent")])
    assert counted(counting, "not_placed", "no_agent") == 2
    assert counted(counting, "not_placed", "other") == 1_001 - metrics.MOST_OUTCOMES
    (family,) = [each for each in counting.registry.collect() if each.name == "ordersaga_outcomes"]
    assert sum(sample.name == "ordersaga_outcomes_total" for sample in family.samples) == metrics.MOST_OUTCOMES + 1


def test_how_long_a_decision_took_is_observed_by_its_outcome_and_only_of_orders_that_were_accepted() -> None:
    counting = Metrics()
    counting.outcomes.count(
        [Decided("placed", "", 0.03), Decided("placed", "", 4.0), Decided("not_placed", "cancelled")]
    )
    value = counting.registry.get_sample_value
    assert value("ordersaga_decision_seconds_sum", {"outcome": "placed"}) == 4.03
    assert value("ordersaga_decision_seconds_bucket", {"outcome": "placed", "le": "0.05"}) == 1
    assert value("ordersaga_decision_seconds_count", {"outcome": "not_placed"}) is None


def test_a_service_says_which_release_it_is_and_how_its_process_fares() -> None:
    value = Metrics().registry.get_sample_value
    assert version() != UNKNOWN
    assert value("ordersaga_build_info", {"version": version()}) == 1
    assert (value("process_start_time_seconds") or 0) > 0
    assert (value("process_resident_memory_bytes") or 0) > 0


def test_what_tables_have_is_set_in_the_order_of_the_measures_and_by_their_labels() -> None:
    measures = [
        Measure("lost", "Lost things.", "", (("by", "us"),)),
        Measure("found", "Found things.", ""),
        Measure("lost", "Lost things.", "", (("by", "them"),)),
    ]
    measuring = Metrics(measures)
    measuring.measured.set([1, 2, 3])
    value = measuring.registry.get_sample_value
    lost = [value("ordersaga_lost", {"by": who}) for who in ("us", "them")]
    assert (lost, value("ordersaga_found")) == ([1, 3], 2)


def test_the_time_that_a_question_takes_is_not_taken_for_an_offset_of_the_clock() -> None:
    assert ClockOffset.of(100.0, 100.5, 101.0).certain == 0
    assert ClockOffset.of(100.0, 103.0, 101.0).certain == 2
    assert ClockOffset.of(100.0, 98.5, 101.0).certain == -1.5
