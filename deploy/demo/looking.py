"""Polls the databases until they are as expected, for what the public edge does not show."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import asyncpg

from deploy.demo.queries import Connection
from order_saga.inspection.audit import Report, examine

T = TypeVar("T")

PATIENCE_SECONDS = 30.0
LOOK_SECONDS = 0.05


class TooSlowError(Exception):
    """Something that takes a moment has not happened in half a minute."""


async def look_until(url: str, look: Callable[[Connection], Awaitable[T]], enough: Callable[[T], bool]) -> T:
    """Poll until the value is enough, and return it. Raises TooSlowError."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    connection = await asyncpg.connect(url)
    try:
        while not enough(seen := await look(connection)):
            if time.monotonic() > deadline:
                raise TooSlowError(f"{look.__name__}: still {seen} after {PATIENCE_SECONDS:.0f} s")
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await connection.close()
    return seen


async def audited(urls: Mapping[str, str]) -> Report:
    """Audit all databases once everything is at rest, or should be."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        report = await examine(urls, 0.0, at_rest=True)
        if not report.findings or time.monotonic() > deadline:
            return report
        await asyncio.sleep(LOOK_SECONDS)
