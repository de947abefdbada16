"""Waits for what tells nobody that it has come."""

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE_SECONDS = 60.0


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():  # noqa: ASYNC110  what is waited for sends no event
            await asyncio.sleep(0.01)


async def reaches(value: Callable[[], int], expected: int) -> bool:
    return value() >= expected


async def true(value: bool) -> bool:
    return value
