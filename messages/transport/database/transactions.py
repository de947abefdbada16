"""How a transaction begins, locks and ends, also while the server or the process is going down."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Coroutine
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

import asyncpg
import structlog

from messages.transport.faults import Aborted, one_line

log = structlog.get_logger(__name__)

T = TypeVar("T")
Transaction: TypeAlias = "asyncpg.Connection[Any]"

LAST_WORD_SECONDS = 1.0
"""How long a rollback, or a commit whose task was cancelled, may take."""
CLOSE_SECONDS = 1.0

BEGIN = "BEGIN;SET LOCAL lock_timeout = 0;"
"""A transaction waits for locks without limit. Outside of one, the connection's lock_timeout soon expires, and the
batch is retried, in the end in a transaction."""


def locking(table: str | None, order_ids: Collection[UUID]) -> str:
    """The statement that locks the rows of these orders, always in the same order, so that none deadlock."""
    if table is None or not order_ids:
        return ""
    ids = ",".join(str(order_id) for order_id in order_ids)
    # Typed UUIDs and a name from our own code: nothing here can be injected. Sent without parameters, it travels
    # in the same message as BEGIN.
    return f"SELECT FROM {table} WHERE order_id = ANY ('{{{ids}}}') ORDER BY order_id FOR UPDATE"


@contextlib.asynccontextmanager
async def savepoint(tx: Transaction) -> AsyncIterator[None]:
    """If the block raises, undo only what it did, so that the transaction can continue."""
    await tx.execute("SAVEPOINT undo")
    try:
        yield
    except Exception:  # not if cancelled: then the whole transaction is rolled back
        with contextlib.suppress(asyncpg.InterfaceError):  # raised if the connection is gone
            await tx.execute("ROLLBACK TO SAVEPOINT undo; RELEASE SAVEPOINT undo")
        raise
    await tx.execute("RELEASE SAVEPOINT undo")


async def uncancelled(committing: Coroutine[Any, Any, T]) -> T:
    """Shield a commit from cancellation: a cancelled one may still succeed, unreplicated."""
    task = asyncio.ensure_future(committing)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        # Gathered, because asyncio logs an error that nobody asks for, such as that of a commit after the time limit.
        await asyncio.wait([asyncio.gather(task, return_exceptions=True)], timeout=LAST_WORD_SECONDS)
        raise


async def commit(tx: Transaction) -> None:
    """Raises Aborted if it rolled back instead, which PostgreSQL reports only in the command tag."""
    if await uncancelled(tx.execute("COMMIT")) != "COMMIT":
        raise Aborted("COMMIT rolled back: an earlier statement had failed")


async def roll_back(tx: Transaction) -> None:
    """Roll back, or drop the connection if that takes more than a second."""
    try:
        await tx.execute("ROLLBACK", timeout=LAST_WORD_SECONDS)
    except Exception as error:  # noqa: BLE001  the first error is being raised; the connection is unusable
        log.info("connection dropped", error=one_line(error))
        tx.terminate()


async def end(connection: Transaction) -> None:
    """Stop the statement that may still run, and close; cut it off after a second if the server is silent."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSE_SECONDS):  # asyncpg's limit leaves out what ends the statement, up to 0.31
            await connection.close()
