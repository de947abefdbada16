"""`python -m bench.plain SERVICE`: one of the three services of the plain saga; says `ready` once it consumes."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aio_pika
import asyncpg
import uvloop
from aio_pika.abc import AbstractIncomingMessage

from bench.plain.steps import READY, Handle, Process, delivery_worker, order_saga, store_worker

PREFETCH = 100
CONNECTIONS = 8
SERVICES = {"order_saga": order_saga, "store_worker": store_worker, "delivery_worker": delivery_worker}


async def main(service: str, environment: Mapping[str, str]) -> None:
    """Until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        url = environment[f"{service.upper()}_DATABASE_URL"]
        pool = await stack.enter_async_context(
            asyncpg.create_pool(url, min_size=CONNECTIONS, max_size=CONNECTIONS, reset=_left_as_it_is)
        )
        connection = await stack.enter_async_context(await aio_pika.connect(environment["BROKER_URL"]))
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=PREFETCH)
        process = Process(pool, channel.default_exchange, await channel.get_exchange("outcomes", ensure=False))
        for queue, handle in SERVICES[service](process).items():
            await (await channel.get_queue(queue, ensure=False)).consume(_handler(handle))
        print(READY, flush=True)
        await stopped.wait()


async def _left_as_it_is(_connection: Any) -> None:
    """Session state is never changed, so a reset would be a wasted round trip."""


def _handler(handle: Handle) -> Callable[[AbstractIncomingMessage], Awaitable[None]]:
    async def consume(message: AbstractIncomingMessage) -> None:
        async with message.process():
            await handle(json.loads(message.body))

    return consume


uvloop.run(main(sys.argv[1], os.environ))
