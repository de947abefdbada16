"""One measured run on one system, and whether the system kept up with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from bench.customers import customers, order
from bench.generator.plan import Plan, Report
from bench.meter import Cost
from bench.stock import Supply, can_be_placed, exactly
from bench.system import NotClean, System

GROWTH = 0.02
"""A backlog that grows by more than this part of the rate is growing; less is noise."""
LONGEST_P99_MILLISECONDS = 1_000.0
SETTLED = 0.3
"""The first part of a run, in which a backlog comes to its level, is not looked at."""
PATIENCE_SECONDS = 120.0

_seeds = count(1)


@dataclass(frozen=True, slots=True)
class Run:
    plan: Plan
    report: Report
    cost: Cost
    peak_rss_megabytes: dict[str, float]

    @property
    def orders_per_second(self) -> float:
        """Decided while orders were being sent; all of them, where all were sent at once."""
        if not self.plan.seconds:
            return self.report.sent / self.report.seconds
        return self.report.decided_while_sending / self.plan.seconds

    @property
    def held(self) -> bool:
        """The backlog did not grow, and no order waited for long."""
        late = self.report.latency_milliseconds.get("p99", LONGEST_P99_MILLISECONDS) >= LONGEST_P99_MILLISECONDS
        growth = slope([(at, waiting) for at, waiting in self.report.backlog if at >= SETTLED * self.plan.seconds])
        return not late and growth <= GROWTH * self.plan.orders_per_second


def planned(
    system: System,
    orders_per_second: float,
    seconds: float,
    hot_share: float = 0.0,
    patience_seconds: float = PATIENCE_SECONDS,
) -> Plan:
    orders = max(1, round(orders_per_second * seconds))
    return Plan(system.broker_url, orders, orders_per_second, next(_seeds), hot_share, patience_seconds)


async def warm_up(system: System, orders_per_second: float, seconds: float) -> None:
    """Let connections, prepared statements and caches come into being, as in the first seconds of every process."""
    plan = planned(system, orders_per_second, seconds)
    await system.fill(plan.workload, exactly)
    expect_all_placed(await order(plan))


async def measure(system: System, plan: Plan) -> Run:
    """Run this plan, for which the shelves must be filled already."""
    async with customers(plan) as generator:
        meter = system.meter()
        await meter.start()
        generator.go()
        report = await generator.report()
        cost = await meter.stop()
    return Run(plan, report, cost, system.peak_rss_megabytes())


def expect_all_decided(report: Report) -> None:
    """Raises NotClean if an order was lost, contradicted, or not taken by the broker."""
    if report.lost or report.contradictions or report.nacked:
        raise NotClean(
            f"{report.lost} lost, {report.contradictions} contradicted, {report.nacked} refused by the broker"
        )


def expect_all_placed(report: Report) -> None:
    """Raises NotClean if an order was refused, though there was plenty of everything."""
    expect_all_decided(report)
    if report.not_placed:
        raise NotClean(
            f"{report.not_placed} of {report.sent} orders refused, though all were possible: {report.reasons}"
        )


def expect_all_that_can_be(run: Run, supply: Supply) -> None:
    """Raises NotClean if fewer orders were placed than there were packets for."""
    expect_all_decided(run.report)
    possible = can_be_placed(run.plan.workload, supply)
    if run.report.placed != possible:
        raise NotClean(f"{run.report.placed} placed, but there were packets for {possible}: {run.report.reasons}")


def slope(samples: Sequence[tuple[float, int]]) -> float:
    """Of the straight line through these points, by least squares; orders a second."""
    if len(samples) < 2:
        return 0.0
    middle = sum(at for at, _ in samples) / len(samples)
    level = sum(waiting for _, waiting in samples) / len(samples)
    spread = sum((at - middle) ** 2 for at, _ in samples)
    return sum((at - middle) * (waiting - level) for at, waiting in samples) / spread
