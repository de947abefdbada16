"""What a process tells by HTTP: whether it is ready, and what it measures."""

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any

from tests.integration.toy.waiting import until

READY = {"migrations": True, "postgresql": True, "broker": True, "batch": True}
NOT_READY = {"migrations": False, "postgresql": False, "batch": True}


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def says(port: int, path: str) -> tuple[int, Any]:
    status, body = await asyncio.to_thread(get, port, path)
    return status, json.loads(body)


async def until_says(port: int, path: str, expected: tuple[int, Any]) -> None:
    async def so() -> bool:
        try:
            return await says(port, path) == expected
        except OSError:  # not yet
            return False

    try:
        await until(so)
    except TimeoutError:
        assert await says(port, path) == expected
        raise


async def until_unready(port: int, check: str) -> None:
    """Because of this, whatever else may not be as it should."""

    async def so() -> bool:
        status, checks = await says(port, "/readyz")
        return status == 503 and checks[check] is False

    await until(so)


async def measured(port: int) -> str:
    return (await asyncio.to_thread(get, port, "/metrics"))[1]


async def until_measured(port: int, line: str) -> None:
    async def so() -> bool:
        return f"ordersaga_{line}\n" in await measured(port)

    await until(so)
