"""`python -m bench [--quick] [SCENARIOS...]`: one line of JSON a scenario, and a table and a plot of all of them."""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.ceiling import ceiling
from bench.pace import FULL, QUICK
from bench.results import FOLDER, Results
from bench.scenarios import SCENARIOS, Bench
from bench.servers import servers
from bench.versions import versions
from tests.servers.server import Unavailable


def main() -> int:
    arguments = _arguments()
    try:
        return asyncio.run(_until_stopped(arguments))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("stopped, and everything removed", file=sys.stderr)
        return 130
    except Unavailable as reason:
        print(f"no benchmark without real servers: {reason}", file=sys.stderr)
        return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("scenarios", nargs="*", default=list(SCENARIOS), metavar="SCENARIO", help=", ".join(SCENARIOS))
    quick = os.environ.get("BENCH_QUICK", "") not in ("", "0")
    parser.add_argument(
        "--quick", action="store_true", default=quick, help="short runs for development, not for figures"
    )
    parser.add_argument("--results", type=Path, help="folder for the results, instead of bench/results")
    arguments = parser.parse_args()
    for name in arguments.scenarios:
        if name not in SCENARIOS:
            parser.error(f"{name}: no such scenario; choose from {', '.join(SCENARIOS)}")
    return arguments


async def _until_stopped(arguments: argparse.Namespace) -> int:
    """SIGTERM ends it like Ctrl-C: everything that was started is removed."""
    working = asyncio.create_task(_bench(arguments))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
    return await working


async def _bench(arguments: argparse.Namespace) -> int:
    """Run these scenarios. The exit code is 1 if one of them has no figure."""
    pace = QUICK if arguments.quick else FULL
    results = Results(arguments.results or (FOLDER / "quick" if arguments.quick else FOLDER))
    async with servers() as running:
        common = {"versions": await versions(running)}
        highest = await ceiling(running, pace.ceiling_orders)
        _record(results, highest | common)
        bench = Bench(running, pace)
        missing = 0
        for name in arguments.scenarios:
            lines = await _figures(name, bench)
            missing += not lines
            for line in lines:
                _record(results, line | _compared(line, highest, bench) | common)
    results.draw()
    return 1 if missing else 0


async def _figures(name: str, bench: Bench) -> list[dict[str, Any]]:
    """Empty if the scenario failed: the others are run all the same."""
    began = time.monotonic()
    print(f"{name} ...", file=sys.stderr)
    try:
        lines = await SCENARIOS[name](bench)
    except Exception as error:  # noqa: BLE001  whatever it was, there is no figure
        print(f"{name}: no figure: {type(error).__name__}: {error}", file=sys.stderr)
        return []
    print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return lines


def _compared(line: dict[str, Any], highest: dict[str, Any], bench: Bench) -> dict[str, Any]:
    """The ceiling, and for a throughput its shares of ceiling and saturation."""
    compared = {"ceiling_orders_per_second": highest["orders_per_second"]}
    if "orders_per_second" in line and not line["scenario"].startswith("latency"):
        compared["share_of_ceiling"] = round(line["orders_per_second"] / highest["orders_per_second"], 3)
        if bench.saturation:
            compared["share_of_saturation"] = round(line["orders_per_second"] / bench.saturation, 3)
    return compared


def _record(results: Results, line: dict[str, Any]) -> None:
    line = line | {"at": datetime.now(UTC).isoformat(timespec="seconds")}
    print(json.dumps(line), flush=True)
    results.keep(line)


sys.exit(main())
