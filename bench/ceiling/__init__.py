"""The physical limit: the services' own statements, recorded once, replayed straight against PostgreSQL."""

import asyncio
import multiprocessing
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from bench.ceiling.recording import Recorded, record
from bench.ceiling.replay import Span, replay
from bench.daemons import SERVICES
from bench.generator.plan import Plan
from bench.servers import Servers
from bench.stock import plenty
from bench.system import System
from deploy.definitions import all_services

STARTING_SECONDS = 3.0


async def ceiling(servers: Servers, orders: int) -> dict[str, Any]:
    """Orders a second, if there were no broker and nothing to decide: in batches of 500, a connection a database."""
    async with System.fresh(servers) as it:
        plan = Plan(it.broker_url, orders, 0.0, 1, 0.0, 0.0)
        await it.fill(plan.workload, plenty)
        copies = await _copy(it)
        services = {service.name: service for service in all_services()}
        recorded = await record(services, it.urls, plan.workload)
        await it.execute("postgres", "CHECKPOINT")
        meter = it.meter()
        await meter.start()
        seconds = await _replay(copies, recorded)
        cost = await meter.stop()
        await _drop(it, copies)
    return {
        "scenario": "ceiling",
        "orders": orders,
        "orders_per_second": round(orders / seconds, 1),
        "cpu_milliseconds_per_order": {"postgresql": round(cost.cpu_seconds["postgresql"] * 1000 / orders, 4)},
        "wal_bytes_per_order": round(cost.wal_bytes / orders),
    }


async def _copy(it: System) -> dict[str, str]:
    """The databases as they are before the first order; returns the copies' URLs."""
    for database in it.databases.values():
        await it.execute("postgres", f"CREATE DATABASE {database}_copy TEMPLATE {database}")
    return {service: f"{url}_copy" for service, url in it.urls.items()}


async def _replay(urls: Mapping[str, str], recorded: Mapping[str, Sequence[Recorded]]) -> float:
    """All three at the same time, each in a process of its own; seconds from the first to the last statement."""
    loop = asyncio.get_running_loop()
    begin_at = time.monotonic() + STARTING_SECONDS
    with ProcessPoolExecutor(len(SERVICES), multiprocessing.get_context("spawn")) as processes:
        spans: list[Span] = await asyncio.gather(
            *(loop.run_in_executor(processes, replay, urls[each], recorded[each], begin_at) for each in SERVICES)
        )
    return max(span.ended for span in spans) - min(span.began for span in spans)


async def _drop(it: System, urls: Mapping[str, str]) -> None:
    for service in urls:
        await it.execute("postgres", f"DROP DATABASE {it.databases[service]}_copy WITH (FORCE)")
