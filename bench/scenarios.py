"""The scenarios by name: each prepares its systems, measures, and returns its figures."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from bench.customers import customers
from bench.figures import at_rest, figures
from bench.generator.plan import Plan
from bench.pace import Pace
from bench.plain.system import PlainSystem
from bench.run import Run, expect_all_placed, measure, planned, warm_up
from bench.saturation import Kind, confirm, saturate, search
from bench.servers import Servers
from bench.stock import half, plenty
from bench.system import System

Figures: TypeAlias = dict[str, Any]

RATES = (10.0, 50.0, 500.0)
OVERLOAD = 2.0
PATIENCE_SECONDS = 240.0
SETTLE_SECONDS = 5.0


@dataclass(slots=True)
class Bench:
    """What the scenarios share: the servers, the pace, and the saturation that others are compared with."""

    servers: Servers
    pace: Pace
    saturation: float | None = None

    async def known_saturation(self) -> float:
        """As the scenario `saturation` has found it, or else found now."""
        if self.saturation is None:
            rate = await search(self.servers, Kind(), self.pace)
            self.saturation = (await confirm(self.servers, Kind(), self.pace, rate)).orders_per_second
        return self.saturation


KINDS: Mapping[str, Kind] = {
    "saturation": Kind(),
    "hot": Kind(hot_share=0.9),
    "scarce": Kind(supply=half),
    "aged": Kind(aged=True),
    "pruning": Kind(aged=True, share_to_forget=0.5),
    "workers": Kind(of_each=2),
    "plain": Kind(system=PlainSystem, burst_orders=1_000),
}


def throughput(name: str) -> "Scenario":
    async def scenario(bench: Bench) -> list[Figures]:
        runs = await saturate(bench.servers, KINDS[name], bench.pace)
        found = figures(name, sorted(runs, key=lambda run: run.orders_per_second))
        if name == "saturation":
            bench.saturation = found["orders_per_second"]
        return [found]

    return scenario


async def latency(bench: Bench) -> list[Figures]:
    """How long an order takes when there is little to do, and when there is something to do."""
    return [figures(f"latency_{rate:.0f}", await _latencies(bench, rate, System)) for rate in RATES]


async def plain(bench: Bench) -> list[Figures]:
    """The plain saga, as a comparison: its throughput, and its latency when there is little to do."""
    runs = await _latencies(bench, RATES[0], PlainSystem)
    return [*await throughput("plain")(bench), figures(f"latency_{RATES[0]:.0f}_plain", runs)]


async def _latencies(bench: Bench, rate: float, kind: type[System]) -> list[Run]:
    runs = [await _latency_at(bench, rate, kind) for _ in range(bench.pace.repeats)]
    return sorted(runs, key=lambda run: run.report.latency_milliseconds["p50"])


async def _latency_at(bench: Bench, rate: float, kind: type[System]) -> Run:
    async with kind.fresh(bench.servers) as it:
        await it.start()
        await warm_up(it, 50.0, bench.pace.warm_up_seconds)
        return await _plenty_of_everything(it, planned(it, rate, bench.pace.latency_seconds))


async def overload(bench: Bench) -> list[Figures]:
    """Twice the saturation rate: throughput should not fall, and the rest must be decided afterwards."""
    rate = OVERLOAD * await bench.known_saturation()
    runs = []
    for _ in range(bench.pace.repeats):
        async with System.fresh(bench.servers) as it:
            await it.start()
            await warm_up(it, 500.0, bench.pace.warm_up_seconds)
            plan = planned(it, rate, bench.pace.overload_seconds, patience_seconds=PATIENCE_SECONDS)
            runs.append(await _plenty_of_everything(it, plan))
    runs.sort(key=lambda run: run.orders_per_second)
    run = runs[len(runs) // 2]
    return [figures("overload", runs) | {"drained_after_seconds": round(run.report.seconds - run.plan.seconds, 1)}]


async def recovery(bench: Bench) -> list[Figures]:
    """Orders have queued up while all daemons were down; they start, cold."""
    runs = [await _recover(bench) for _ in range(bench.pace.repeats)]
    return [figures("recovery", sorted(runs, key=lambda run: run.orders_per_second))]


async def _recover(bench: Bench) -> Run:
    async with System.fresh(bench.servers) as it:
        plan = Plan(it.broker_url, bench.pace.queued_orders, 0.0, 1, 0.0, PATIENCE_SECONDS)
        await it.fill(plan.workload, plenty)
        async with customers(plan) as generator:
            generator.go()
            await generator.all_sent()
            meter = it.meter()
            await meter.start()
            began = time.monotonic()
            await it.spawn()
            report = await generator.report()
            cost = await meter.stop()
        expect_all_placed(report)
        await it.audit()
        report.seconds -= began - report.began
        return Run(plan, report, cost, it.peak_rss_megabytes())


async def quiet(bench: Bench) -> list[Figures]:
    """An idle system: what waiting costs."""
    async with System.fresh(bench.servers) as it:
        await it.start()
        await warm_up(it, 50.0, bench.pace.warm_up_seconds)
        await asyncio.sleep(SETTLE_SECONDS)
        meter = it.meter()
        await meter.start()
        await asyncio.sleep(bench.pace.idle_seconds)
        cost = await meter.stop()
        await it.audit()
        return [at_rest("quiet", cost, it.peak_rss_megabytes())]


async def _plenty_of_everything(it: System, plan: Plan) -> Run:
    await it.fill(plan.workload, plenty)
    await it.execute("postgres", "CHECKPOINT")
    run = await measure(it, plan)
    expect_all_placed(run.report)
    await it.audit()
    print(f"  {run.report.latency_milliseconds}", file=sys.stderr)
    return run


Scenario: TypeAlias = Callable[[Bench], Awaitable[list[Figures]]]

SCENARIOS: Mapping[str, Scenario] = {
    "saturation": throughput("saturation"),
    "latency": latency,
    "plain": plain,
    "hot": throughput("hot"),
    "scarce": throughput("scarce"),
    "aged": throughput("aged"),
    "pruning": throughput("pruning"),
    "workers": throughput("workers"),
    "overload": overload,
    "recovery": recovery,
    "quiet": quiet,
}
