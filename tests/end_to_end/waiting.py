"""Waits for a condition, with a time limit and an error that says what did not happen."""

import asyncio
import time
from collections.abc import Awaitable, Callable

PATIENCE_SECONDS = 240.0
LOOK_SECONDS = 0.05


async def until(
    holds: Callable[[], Awaitable[object]], what: str, *, timeout_seconds: float = PATIENCE_SECONDS
) -> None:
    deadline = time.monotonic() + timeout_seconds
    while True:
        if await holds():
            return
        assert time.monotonic() < deadline, f"not within {timeout_seconds} s: {what}"
        await asyncio.sleep(LOOK_SECONDS)
