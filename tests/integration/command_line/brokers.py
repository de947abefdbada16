"""Brokers beside the running system: an empty one, and one of which nobody takes anything."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aio_pika

from tests.servers.management import Management


@asynccontextmanager
async def vhost(management_url: str) -> AsyncIterator[str]:
    management, name = Management(management_url), f"test-{uuid.uuid4().hex}"
    await management.create_vhost(name)
    try:
        yield name
    finally:
        await management.delete_vhost(name)


@dataclass(frozen=True)
class SilentShop:
    """A broker with all queues, of which nobody takes anything."""

    url: str
    _connection: aio_pika.abc.AbstractConnection

    async def until_an_order_waits(self, queue: str = "order_saga.orders") -> None:
        channel = await self._connection.channel()
        async with asyncio.timeout(60):
            while not await self._waiting(channel, queue):  # noqa: ASYNC110  a queue sets no event
                await asyncio.sleep(0.05)

    async def _waiting(self, channel: aio_pika.abc.AbstractChannel, name: str) -> int:
        queue = await channel.declare_queue(name, passive=True)
        return queue.declaration_result.message_count or 0
