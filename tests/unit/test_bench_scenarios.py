"""No scenario has a figure unless the audit is clean, and what has none is told by the exit code."""

import dataclasses
import json
import runpy
import sys
from contextlib import asynccontextmanager, nullcontext
from unittest.mock import AsyncMock, Mock

import pytest

from bench import saturation, scenarios
from bench.generator.plan import Report
from bench.meter import Cost
from bench.pace import QUICK
from bench.plain.system import PlainSystem
from bench.scenarios import SCENARIOS, Bench
from bench.stock import can_be_placed, exactly
from bench.system import NotClean, System

PARTS = ("broker", "postgresql", "order_saga", "store_worker", "delivery_worker")
COST = Cost(2.0, dict.fromkeys(PARTS, 0.5), 3.0, 0, 0, 0, 0)
AT_ONCE = dataclasses.replace(
    QUICK, warm_up_seconds=0.01, step_seconds=0.01, confirm_seconds=0.01, latency_seconds=1.0, overload_seconds=0.01,
    queued_orders=10, idle_seconds=0.0, aged_orders=10,
)  # fmt: skip


@pytest.fixture
def system(monkeypatch):
    """One that places whatever it can, in time."""
    it = AsyncMock(broker_url="amqp://x/", refuses_one=False)
    it.peak_rss_megabytes = dict
    it.meter = lambda: AsyncMock(stop=AsyncMock(return_value=COST))

    @asynccontextmanager
    async def customers(plan):
        supply = it.fill.await_args.args[1]
        placed = can_be_placed(plan.workload, supply) - (it.refuses_one and supply is not exactly)
        reasons = {"out_of_stock": plan.orders - placed} if placed < plan.orders else {}
        latency = {"p50": 5.0, "p99": 9.0}
        told = Report(0.0, plan.orders, 0, placed, reasons, 0, 2.0, plan.orders, latency)
        yield AsyncMock(go=Mock(), report=AsyncMock(return_value=told))

    for kind in (System, PlainSystem):
        monkeypatch.setattr(kind, "fresh", lambda *_, **__: nullcontext(it))
    for module in ("bench.customers", "bench.run", "bench.scenarios"):
        monkeypatch.setattr(f"{module}.customers", customers)
    monkeypatch.setattr(saturation, "age", AsyncMock())
    monkeypatch.setattr(scenarios, "SETTLE_SECONDS", 0.0)
    return it


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_scenario_has_a_figure_if_all_is_well(name):
    assert await SCENARIOS[name](Bench(Mock(), AT_ONCE, saturation=100.0))


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_scenario_has_none_if_the_audit_finds_something(system, name):
    system.audit.side_effect = NotClean("a packet belongs to two orders")
    with pytest.raises(NotClean, match="two orders"):
        await SCENARIOS[name](Bench(Mock(), AT_ONCE, saturation=100.0))


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "quiet"])
async def test_a_scenario_has_none_if_an_order_is_refused_that_could_be_placed(system, name):
    system.refuses_one = True
    with pytest.raises(NotClean, match="out_of_stock"):
        await SCENARIOS[name](Bench(Mock(), AT_ONCE, saturation=100.0))


async def test_a_system_is_clean_unless_a_daemon_or_the_audit_complains(monkeypatch, tmp_path):
    it = System(Mock(postgres_url="postgresql://x/y", broker_url="amqp://x/"), tmp_path, 1)
    for daemon in it.daemons:
        daemon.log.touch()
    monkeypatch.setattr("bench.system.command", command := AsyncMock())
    await it.audit()
    assert [call.args[1:3] for call in command.await_args_list] == [("order_saga", "audit")]

    command.side_effect = RuntimeError("a packet belongs to two orders")
    with pytest.raises(NotClean, match="two orders"):
        await it.audit()

    command.side_effect = None
    it.daemons[-1].log.write_text('{"level": "error", "event": "handler failed"}\n')
    with pytest.raises(NotClean, match=r"1 errors logged, the first: .*handler failed"):
        await it.audit()


def test_who_asks_for_a_figure_and_gets_none_is_told_by_the_exit_code(monkeypatch, tmp_path):
    """The other scenarios are measured all the same; a quick run leaves the figures of a full one as they are."""

    async def fails(_bench):
        raise NotClean("an order was lost")

    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "hot", "quiet"])
    monkeypatch.setattr("bench.results.FOLDER", tmp_path)
    monkeypatch.setitem(SCENARIOS, "hot", fails)
    monkeypatch.setitem(SCENARIOS, "quiet", AsyncMock(return_value=[{"scenario": "quiet"}]))
    monkeypatch.setattr("bench.servers.servers", lambda: nullcontext(Mock()))
    monkeypatch.setattr("bench.versions.versions", AsyncMock(return_value={}))
    monkeypatch.setattr(
        "bench.ceiling.ceiling", AsyncMock(return_value={"scenario": "ceiling", "orders_per_second": 9.0})
    )
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("bench", run_name="__main__")
    kept = [json.loads(line)["scenario"] for line in (tmp_path / "quick" / "latest.jsonl").read_text().splitlines()]
    assert (ended.value.code, kept) == (1, ["ceiling", "quiet"])
