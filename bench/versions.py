"""What was measured, and on what."""

import asyncio
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from bench.connecting import connected
from bench.daemons import ROOT
from bench.servers import POSTGRES_SETTINGS, Servers

PACKAGES = ("aio-pika", "aiormq", "asyncpg", "pydantic", "uvloop")


async def versions(servers: Servers) -> dict[str, str]:
    overview = await servers.management.call("GET", "overview")
    async with connected(servers.postgres_url) as connection:
        postgres = await connection.fetchval("SHOW server_version")
    return {
        "commit": await asyncio.to_thread(_commit),
        "rabbitmq": overview["rabbitmq_version"],
        "erlang": overview["erlang_version"],
        "postgresql": postgres,
        "postgresql_settings": " ".join(f"{name}={value}" for name, value in POSTGRES_SETTINGS.items()),
        "python": f"{platform.python_version()}, built {platform.python_build()[1]}",
        **{name: version(name) for name in PACKAGES},
        "linux": platform.release(),
        "cpu": f"{os.cpu_count()} x {_cpu_model()}",
    }


def _commit() -> str:
    """With `+` where the tree is not as committed."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"],  # noqa: S607  whichever git there is
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "unknown"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
