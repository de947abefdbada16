"""How a transaction begins, locks and ends, also where the server or the process is on its way out."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Coroutine
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import structlog

from messages.transport.faults import Aborted
from messages.transport.service import Transaction

log = structlog.get_logger(__name__)

T = TypeVar("T")

LAST_WORD_SECONDS = 1.0
"""How long a connection on its way out of a transaction may take."""

BEGIN = "BEGIN;SET LOCAL lock_timeout = 0;"
"""In a transaction one waits for locks without limit. Outside, the connection's lock_timeout soon gives up, and the
batch is tried again in one."""


def locking(table: str | None, order_ids: Collection[UUID]) -> str:
    """The statement that locks the rows of these orders, in one order for everybody, so that nobody deadlocks."""
    if table is None or not order_ids:
        return ""
    ids = ",".join(str(order_id) for order_id in order_ids)
    # Typed UUIDs and a name from our own code: nothing here can be injected. Sent without parameters, it travels
    # in the same message as BEGIN.
    return f"SELECT FROM {table} WHERE order_id = ANY ('{{{ids}}}') ORDER BY order_id FOR UPDATE"


@contextlib.asynccontextmanager
async def savepoint(tx: Transaction) -> AsyncIterator[None]:
    """Undo what is done within if it raises, and only that, and leave the transaction fit for more."""
    await tx.execute("SAVEPOINT undo")
    try:
        yield
    except Exception:  # who is cancelled has no time for that, and leaves the transaction altogether
        with contextlib.suppress(asyncpg.InterfaceError):  # raised where the connection has gone
            await tx.execute("ROLLBACK TO SAVEPOINT undo; RELEASE SAVEPOINT undo")
        raise
    await tx.execute("RELEASE SAVEPOINT undo")


async def uncancelled(committing: Coroutine[Any, Any, T]) -> T:
    """Nothing cancels a commit half way: it could succeed all the same, and unreplicated."""
    task = asyncio.ensure_future(committing)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=LAST_WORD_SECONDS)
        raise


async def commit(tx: Transaction) -> None:
    """Raises Aborted if nothing was kept, which PostgreSQL only says in passing."""
    if await uncancelled(tx.execute("COMMIT")) != "COMMIT":
        raise Aborted("the transaction had failed before it was to be committed")


async def roll_back(tx: Transaction) -> None:
    """Or give the connection up, where that takes too long."""
    try:
        await tx.execute("ROLLBACK", timeout=LAST_WORD_SECONDS)
    except Exception as error:  # noqa: BLE001  the first error is on its way up; the connection is no longer of use
        log.info("connection given up", error=str(error) or type(error).__name__)
        give_up(tx)


def give_up(connection: Any) -> None:
    """Close it without a word to the server, which undoes what it had begun."""
    with contextlib.suppress(asyncpg.InterfaceError):  # raised where it has gone by itself
        connection.terminate()
