"""Where commands are typed, in processes of their own, with the settings of a running system."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from messages.transport.broker import Broker
from tests.integration.small_system import Urls, until

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True)
class Shell:
    """Where commands are typed, with the settings of a running system."""

    urls: Urls
    vhost: str
    settings: Mapping[str, str]
    broker: Broker

    async def type(self, *arguments: str, stdin: str = "", **settings: str) -> Result:
        """`order_saga audit --json`, say."""
        return await self.run("-m", *arguments, stdin=stdin, **settings)

    async def run(self, *arguments: str, stdin: str = "", **settings: str) -> Result:
        """Python, with these arguments."""
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, *arguments],
            input=stdin.encode(), env=self.environment | settings, cwd=ROOT,
            capture_output=True, timeout=100, check=False,
        )  # fmt: skip
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.settings}

    async def until(self, service: str, question: str) -> None:
        await until(self.urls[service], question)

    async def sql(self, service: str, statement: str) -> Any:
        connection = await asyncpg.connect(self.urls[service])
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()
