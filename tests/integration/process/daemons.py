"""The toy as a daemon of its own on real servers, with a quick relay."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.integration.process.clients import Client
from tests.integration.toy.station import Station

QUICK_RELAY: dict[str, Any] = {
    "publish_timeout_seconds": 1.0,
    "relay_after_seconds": 1.5,
    "relay_interval_seconds": 0.2,
}


@asynccontextmanager
async def daemon(
    station: Station, client: Client, redirected: str = "", stderr: int = asyncio.subprocess.PIPE, **settings: Any
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`redirected`: what a shell does to its standard streams first."""
    values = {"database_url": station.url, "broker_url": client.url, "log_format": "json"} | settings
    environment = {f"TOY_{name.upper()}": str(value) for name, value in values.items()}
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'exec "$@" {redirected}', "sh", sys.executable, "-m", "tests.integration.toy", "run"),
        env=os.environ | environment,
        stderr=stderr,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
