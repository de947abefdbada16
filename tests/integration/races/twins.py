"""Two daemons of one worker on one database, what they are told, and how one is held before its commit."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias
from uuid import UUID

from messages.contracts.delivery import ReserveAgent
from messages.contracts.message import Message
from messages.transport.database.lock_mode import LockMode
from messages.transport.database.writing import write
from messages.transport.faults import Collision
from messages.transport.handled import Handled
from tests.integration.workers import Worker, heard, in_seconds, is_waiting_for_a_lock, locks

UNTIL_THE_FIRST_LEASE_IS_OVER = "SELECT pg_sleep_until(min(expires_at)) FROM reservation"
Twins: TypeAlias = tuple[Worker, Worker]
LetPass: TypeAlias = Callable[[float], Awaitable[None]]


def reserve_agent(order_id: UUID) -> ReserveAgent:
    return ReserveAgent(order_id=order_id, zone="mitte", lease_seconds=60, not_after=in_seconds(60))


class Crash(Exception):
    """The process dies before the commit."""


@asynccontextmanager
async def in_flight(worker: Worker, *messages: Message) -> AsyncIterator[Handled]:
    """Within: everything is handled and nothing committed. Raise Crash to roll it back."""
    try:
        async with worker.database.transaction(locks(worker.service, messages)) as tx:
            handled = await worker.service.handle(tx, [heard(message) for message in messages], LockMode.PESSIMISTIC)
            await write(tx, handled.writes)
            yield handled
    except Crash:
        return


@asynccontextmanager
async def sweeping(worker: Worker) -> AsyncIterator[None]:
    """Within: what is over is swept and nothing committed. Raise Crash to roll it back."""
    sweep = next(job for job in worker.service.jobs if job.name == "sweep")
    try:
        async with worker.database.transaction() as tx:
            await sweep.run(tx)
            yield
    except Crash:
        return


async def blocked(worker: Worker, doing: Awaitable[Sequence[Message]]) -> "asyncio.Future[Sequence[Message]]":
    """Start something, and return once the database makes it wait for a lock."""
    task = asyncio.ensure_future(doing)
    async with worker.database.transaction() as tx:
        while not await is_waiting_for_a_lock(tx):
            assert not task.done(), f"it did not wait: {task.result()}"
            await asyncio.sleep(0.005)
    return task


async def remembering(worker: Worker, message: Message) -> list[Message] | str:
    """What is answered from memory, or that it does not hold; nothing is read of orders."""
    async with worker.database.session() as tx:
        handled = await worker.service.handle(tx, [heard(message)], LockMode.OPTIMISTIC)
        try:
            await write(tx, handled.writes)
        except Collision:
            return "collision"
    return [said.message for said in handled.outgoing]


@asynccontextmanager
async def decided(
    worker: Worker, said: Message | Sequence[Message], *, cached: bool
) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """Within: it is decided on what was read without a lock or remembered, and yet to be written."""
    messages = [said] if isinstance(said, Message) else said
    assert worker.service.row_cache is not None, "a worker has one"
    if not cached:
        worker.service.row_cache.clear()
    async with worker.database.session() as tx:
        handled = await worker.service.handle(tx, [heard(message) for message in messages], LockMode.OPTIMISTIC)
        yield lambda: write(tx, handled.writes)
