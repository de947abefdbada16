"""Sends recorded statements, in order, and nothing between them."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import uvloop

from bench.ceiling.recording import Recorded
from bench.connecting import connected


class Span(NamedTuple):
    """By the machine's monotonic clock, which all processes share."""

    began: float
    ended: float


def replay(url: str, recorded: Sequence[Recorded], begin_at: float) -> Span:
    """Begin at that time, or as soon as possible after it."""
    return uvloop.run(_replay(url, recorded, begin_at))


async def _replay(url: str, recorded: Sequence[Recorded], begin_at: float) -> Span:
    async with connected(url, server_settings={"jit": "off"}) as connection:
        time.sleep(max(0.0, begin_at - time.monotonic()))  # noqa: ASYNC251  nothing else runs in this loop
        began = time.monotonic()
        for method, sql, arguments in recorded:
            await getattr(connection, method)(sql, *arguments)
        return Span(began, time.monotonic())
