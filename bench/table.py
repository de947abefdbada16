"""The figures as a Markdown table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

Line: TypeAlias = Mapping[str, Any]


def table(lines: Sequence[Line]) -> str:
    """All columns, a row a scenario, and what it was measured on."""
    rows = [list(COLUMNS), ["---", *("---:" for _ in list(COLUMNS)[1:])]]
    rows += [[column(line) for column in COLUMNS.values()] for line in lines]
    text = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    notes = [_idle(line) for line in lines if "cpu_percent_of_a_core" in line]
    versions = lines[-1].get("versions", {}) if lines else {}
    measured_on = ", ".join(f"{name} {version}" for name, version in versions.items())
    return "\n".join([text, *notes, f"Measured on: {measured_on}.", ""])


def _idle(line: Line) -> str:
    shares = ", ".join(f"{name} {share} %" for name, share in line["cpu_percent_of_a_core"].items())
    return f"At rest, of one core: {shares}.\n"


def _cpu(line: Line, part: str) -> str:
    return _number(line.get("cpu_milliseconds_per_order", {}).get(part), 3)


def _peak(line: Line) -> str:
    peaks = [peak for name, peak in line.get("peak_rss_megabytes", {}).items() if name != "broker"]
    return _number(max(peaks, default=None), 0)


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"


COLUMNS: Mapping[str, Callable[[Line], str]] = {
    "scenario": lambda line: str(line["scenario"]),
    "orders/s": lambda line: _number(line.get("orders_per_second"), 0),
    "of the ceiling": lambda line: _percent(line.get("share_of_ceiling")),
    "p50 ms": lambda line: _number(line.get("p50_milliseconds"), 1),
    "p95 ms": lambda line: _number(line.get("p95_milliseconds"), 1),
    "p99 ms": lambda line: _number(line.get("p99_milliseconds"), 1),
    "CPU ms an order": lambda line: _cpu(line, "without_generator"),
    "broker": lambda line: _cpu(line, "broker"),
    "PostgreSQL": lambda line: _cpu(line, "postgresql"),
    "saga": lambda line: _cpu(line, "order_saga"),
    "store": lambda line: _cpu(line, "store_worker"),
    "delivery": lambda line: _cpu(line, "delivery_worker"),
    "generator": lambda line: _cpu(line, "generator"),
    "AMQP messages": lambda line: _number(line.get("amqp_messages_per_order"), 2),
    "commits": lambda line: _number(line.get("commits_per_order"), 3),
    "WAL bytes": lambda line: _number(line.get("wal_bytes_per_order"), 0),
    "peak RSS MB": _peak,
    "commit": lambda line: str(line.get("versions", {}).get("commit", "")),
}
