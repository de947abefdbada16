"""How long everything takes: in full for figures, in short for developing."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    warm_up_seconds: float
    step_seconds: float
    """Of each rate that the search for saturation tries."""
    confirm_seconds: float
    latency_seconds: float
    overload_seconds: float
    queued_orders: int
    idle_seconds: float
    aged_orders: int
    ceiling_orders: int
    repeats: int
    """A figure is the median of so many runs."""


FULL = Pace(
    warm_up_seconds=5.0,
    step_seconds=12.0,
    confirm_seconds=30.0,
    latency_seconds=60.0,
    overload_seconds=60.0,
    queued_orders=20_000,
    idle_seconds=60.0,
    aged_orders=1_000_000,
    ceiling_orders=50_000,
    repeats=3,
)
QUICK = Pace(
    warm_up_seconds=2.0,
    step_seconds=5.0,
    confirm_seconds=10.0,
    latency_seconds=10.0,
    overload_seconds=10.0,
    queued_orders=5_000,
    idle_seconds=10.0,
    aged_orders=50_000,
    ceiling_orders=10_000,
    repeats=1,
)
