"""The generator's input and its report: both travel as one line of JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from bench.workload import Workload


@dataclass(frozen=True, slots=True)
class Plan:
    """An open loop: each order has its time, whatever became of those before it."""

    broker_url: str
    orders: int
    orders_per_second: float
    """0: all at once."""
    seed: int
    hot_share: float
    patience_seconds: float
    """How long after the last order outcomes are waited for."""

    @property
    def workload(self) -> Workload:
        return Workload(self.orders, self.seed, self.hot_share)

    @property
    def seconds(self) -> float:
        return self.orders / self.orders_per_second if self.orders_per_second else 0.0

    def times(self) -> Iterator[float]:
        """When each order is to be sent, in seconds from the start: a Poisson process of fixed length."""
        choose = Random(~self.seed)  # noqa: S311  a schedule that can be repeated is the point
        # Given their number, the arrivals of a Poisson process lie evenly at random in the interval.
        return iter(sorted(choose.random() * self.seconds for _ in range(self.orders)))


@dataclass(slots=True)
class Report:
    """What came of it. Latencies run from the intended sending of an order to the arrival of its outcome."""

    began: float = 0.0
    """By the machine's monotonic clock, which all processes share."""
    sent: int = 0
    nacked: int = 0
    placed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    """Why orders were not placed, and how many for each reason."""
    contradictions: int = 0
    seconds: float = 0.0
    """From the start to the last outcome."""
    decided_while_sending: int = 0
    latency_milliseconds: dict[str, float] = field(default_factory=dict)
    lag_p99_milliseconds: float = 0.0
    """How late the generator itself was."""
    backlog: list[tuple[float, int]] = field(default_factory=list)
    """(second, orders sent and not decided)."""
    cpu_seconds: float = 0.0

    @property
    def not_placed(self) -> int:
        return sum(self.reasons.values())

    @property
    def lost(self) -> int:
        return self.sent - self.placed - self.not_placed


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that has so large a share of the others below it. `ordered` ascends and is not empty."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
