"""The highest rate that the system keeps up with: looked for in steps, then confirmed on a fresh system."""

import math
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.aged import age
from bench.customers import order
from bench.pace import Pace
from bench.run import Run, expect_all_decided, expect_all_that_can_be, measure, planned, warm_up
from bench.servers import Servers
from bench.stock import Supply, plenty
from bench.system import NotClean, System

FIRST_SHARE = 0.75
"""A burst goes through in the largest batches, so a steady stream will not be quite as fast."""
STEP = 1.12
CLOSE = 1.05
STEPS = 9
BACK = 0.95
TRIES = 6


@dataclass(frozen=True, slots=True)
class Kind:
    """What is ordered, of how much, from how many daemons, with how much history."""

    hot_share: float = 0.0
    supply: Supply = plenty
    of_each: int = 1
    system: type[System] = System
    burst_orders: int = 10_000
    """The size of the burst that tells where to begin looking for the highest rate."""
    aged: bool = False
    share_to_forget: float = 0.0
    """The part of the history that is due to be pruned while the run goes on."""


async def saturate(servers: Servers, kind: Kind, pace: Pace) -> list[Run]:
    """Find the rate, and confirm it several times."""
    rate = await search(servers, kind, pace)
    return [await confirm(servers, kind, pace, rate) for _ in range(pace.repeats)]


async def search(servers: Servers, kind: Kind, pace: Pace) -> float:
    """The highest rate held, within five percent. Raises NotClean if none is."""
    async with _ready(servers, kind, pace) as it:
        held, failed = 0.0, math.inf
        rate = FIRST_SHARE * await _burst(it, kind)
        for _ in range(STEPS):
            if await _holds(it, kind, pace, rate):
                held = rate
            else:
                failed = rate
            if held and failed / held <= CLOSE:
                break
            rate = _next(held, failed)
    if not held:
        raise NotClean(f"not even {failed:.0f} orders/s were sustained")
    return held


async def confirm(servers: Servers, kind: Kind, pace: Pace, rate: float) -> Run:
    """A longer run on a fresh system, at this rate, or at the next lower one that is held."""
    rates = [rate * BACK**lower for lower in range(TRIES)]
    for each in rates:
        async with _ready(servers, kind, pace) as it:
            plan = planned(it, each, pace.confirm_seconds, kind.hot_share)
            await it.fill(plan.workload, kind.supply)
            await it.execute("postgres", "CHECKPOINT")
            run = await measure(it, plan)
            tell(run)
            if run.held:
                expect_all_that_can_be(run, kind.supply)
                await it.audit()
                return run
    raise NotClean(f"{rate:.0f} orders/s were sustained in the search, but when confirmed not even {rates[-1]:.0f}")


def tell(run: Run) -> None:
    """Print the progress."""
    p99 = run.report.latency_milliseconds.get("p99", math.inf)
    verdict = "sustained" if run.held else "not sustained"
    print(
        f"  {run.plan.orders_per_second:.0f} orders/s {verdict}: {run.orders_per_second:.0f}/s, p99 {p99:.0f} ms",
        file=sys.stderr,
    )


@asynccontextmanager
async def _ready(servers: Servers, kind: Kind, pace: Pace) -> AsyncIterator[System]:
    async with kind.system.fresh(servers, of_each=kind.of_each) as it:
        await it.start()
        if kind.aged:
            await age(it, pace.aged_orders, kind.share_to_forget)
        await warm_up(it, 500.0, pace.warm_up_seconds)
        yield it


async def _burst(it: System, kind: Kind) -> float:
    """Orders a second, if all come at once."""
    plan = planned(it, kind.burst_orders, 1.0, kind.hot_share)
    await it.fill(plan.workload, kind.supply)
    report = await order(plan)
    expect_all_decided(report)
    return plan.orders / report.seconds


async def _holds(it: System, kind: Kind, pace: Pace, rate: float) -> bool:
    plan = planned(it, rate, pace.step_seconds, kind.hot_share)
    await it.fill(plan.workload, kind.supply)
    run = await measure(it, plan)
    tell(run)
    expect_all_decided(run.report)
    return run.held


def _next(held: float, failed: float) -> float:
    if not held:
        return failed / STEP
    return held * STEP if math.isinf(failed) else math.sqrt(held * failed)
