"""A scenario's figures: one flat line of JSON, of the median run."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from bench.meter import Cost
from bench.run import Run

GENERATOR = "generator"


def figures(scenario: str, runs: Sequence[Run]) -> dict[str, Any]:
    """`runs` are in order of what counts in this scenario; the middle one is reported in full."""
    run = runs[len(runs) // 2]
    report = run.report
    return {
        "scenario": scenario,
        "orders": report.sent,
        "offered_per_second": round(run.plan.orders_per_second, 1),
        "orders_per_second": round(run.orders_per_second, 1),
        "placed": report.placed,
        "not_placed": report.not_placed,
        "reasons": report.reasons,
        **{f"{name}_milliseconds": value for name, value in report.latency_milliseconds.items()},
        "cpu_milliseconds_per_order": _cpu_milliseconds(run),
        "amqp_messages_per_order": round(run.cost.amqp_messages / report.sent, 3),
        "commits_per_order": round(run.cost.commits / report.sent, 4),
        "wal_bytes_per_order": round(run.cost.wal_bytes / report.sent),
        "deadlocks": run.cost.deadlocks,
        "peak_rss_megabytes": _rounded(run.peak_rss_megabytes, 1),
        "most_waiting": max((waiting for _, waiting in report.backlog), default=0),
        "others_percent_of_the_machine": _others_percent(run),
        "generator_lag_p99_milliseconds": report.lag_p99_milliseconds,
        "audit": "clean",
        "runs": [
            {
                "orders_per_second": round(each.orders_per_second, 1),
                **{name: each.report.latency_milliseconds[name] for name in ("p50", "p99")},
                "cpu_milliseconds_per_order": _cpu_milliseconds(each)["without_generator"],
            }
            for each in runs
        ],
    }


def at_rest(scenario: str, cost: Cost, peak_rss_megabytes: Mapping[str, float]) -> dict[str, Any]:
    """Of an idle system."""
    percent = {name: 100.0 * seconds / cost.seconds for name, seconds in cost.cpu_seconds.items()}
    return {
        "scenario": scenario,
        "orders": 0,
        "seconds": round(cost.seconds, 1),
        "cpu_percent_of_a_core": _rounded(percent, 2),
        "commits_per_second": round(cost.commits / cost.seconds, 2),
        "wal_bytes_per_second": round(cost.wal_bytes / cost.seconds),
        "amqp_messages_per_second": round(cost.amqp_messages / cost.seconds, 2),
        "peak_rss_megabytes": _rounded(peak_rss_megabytes, 1),
    }


def _cpu_milliseconds(run: Run) -> dict[str, float]:
    """`machine` is all that ran on it meanwhile, the kernel's own work included."""
    system = sum(run.cost.cpu_seconds.values())
    seconds = {
        "all": system + run.report.cpu_seconds,
        "without_generator": system,
        **run.cost.cpu_seconds,
        GENERATOR: run.report.cpu_seconds,
        "machine": run.cost.machine_cpu_seconds,
    }
    return _rounded({name: each * 1000 / run.report.sent for name, each in seconds.items()}, 4)


def _others_percent(run: Run) -> float:
    """CPU time that neither the system nor the generator used, the kernel's own work for them included."""
    ours = sum(run.cost.cpu_seconds.values()) + run.report.cpu_seconds
    others = run.cost.machine_cpu_seconds - ours
    return round(100 * others / (run.cost.seconds * (os.cpu_count() or 1)), 1)


def _rounded(values: Mapping[str, float], digits: int) -> dict[str, float]:
    return {name: round(value, digits) for name, value in values.items()}
