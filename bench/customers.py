"""The load generator seen from the harness: one process a run."""

import asyncio
import dataclasses
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.daemons import ROOT
from bench.generator.plan import Plan, Report

PREPARING_SECONDS = 60.0
LINE_BYTES = 16 * 1024 * 1024
GRACE_SECONDS = 30.0


class Customers:
    """A generator: once it is `ready`, it waits for `go`."""

    def __init__(self, plan: Plan, process: asyncio.subprocess.Process) -> None:
        self._plan = plan
        self._process = process

    async def ready(self) -> None:
        """Return when it is connected."""
        await self._line("ready", PREPARING_SECONDS)

    def go(self) -> None:
        assert self._process.stdin is not None, "it is a pipe"
        self._process.stdin.write(b"go\n")

    async def all_sent(self) -> None:
        """Return when every order is confirmed by the broker."""
        await self._line("sent", self._patience_seconds)

    async def report(self) -> Report:
        """Return when every order is decided, or the plan's patience has ended."""
        line = await self._read(self._patience_seconds)
        report = Report(**json.loads(await self._read(self._patience_seconds) if line == "sent" else line))
        await self._process.wait()
        return report

    @property
    def _patience_seconds(self) -> float:
        return self._plan.seconds + self._plan.patience_seconds + GRACE_SECONDS

    async def _line(self, expected: str, seconds: float) -> None:
        line = await self._read(seconds)
        if line != expected:
            raise RuntimeError(f"the generator printed {line[:500]!r} instead of {expected!r}")

    async def _read(self, seconds: float) -> str:
        assert self._process.stdout is not None, "it is a pipe"
        line = await asyncio.wait_for(self._process.stdout.readline(), seconds)
        if not line:
            raise RuntimeError("the generator ended without a report")
        return line.decode().strip()


@asynccontextmanager
async def customers(plan: Plan) -> AsyncIterator[Customers]:
    """Start a generator, and end it if it has not ended by itself."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.generator", cwd=ROOT, limit=LINE_BYTES,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None, "it is a pipe"
    process.stdin.write(json.dumps(dataclasses.asdict(plan)).encode() + b"\n")
    generator = Customers(plan, process)
    try:
        await generator.ready()
        yield generator
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def order(plan: Plan) -> Report:
    """One whole run, unmeasured."""
    async with customers(plan) as generator:
        generator.go()
        return await generator.report()
