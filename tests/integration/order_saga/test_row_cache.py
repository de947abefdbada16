"""Orders that are decided from the row cache, and what others do to them meanwhile."""

from typing import Any

import pytest

from messages.contracts.message import Message
from messages.contracts.order import CancelOrder, OrderPlaced
from messages.contracts.store import PacketsReserved
from messages.transport.database.lock_mode import LockMode
from messages.transport.database.postgres import Database
from messages.transport.database.row_cache import RowCache
from messages.transport.database.transactions import Transaction
from messages.transport.database.writing import write
from messages.transport.faults import Collision
from messages.transport.handled import Handled
from order_saga import handlers
from order_saga.handlers import handle
from order_saga.queries import Due
from order_saga.rows import TABLE
from order_saga.state import Saga
from tests.integration.order_saga.orders import (
    TERMS,
    happy_story,
    hear,
    in_transaction,
    incoming,
    look,
    published,
    requested,
)
from tests.integration.workers import trust_the_clock_for_long


async def test_a_whole_story_is_told_from_memory(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    trust_the_clock_for_long(monkeypatch)
    row_cache = await awake(database)
    order = requested()
    for message in happy_story(order):
        async with database.session() as tx:
            monologue = Monologue(tx)
            await remember(row_cache, monologue, message)
        assert len(monologue.asked) == 1  # the write
    assert (await published(database, order))["phase"] == "placed"
    async with database.session() as tx:
        again = await remember(row_cache, tx, order)
    assert [type(said.message) for said in again.outgoing] == [OrderPlaced]


async def test_an_order_of_many_units_is_not_kept_in_memory(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust_the_clock_for_long(monkeypatch)
    monkeypatch.setattr(handlers, "MOST_UNITS", 1)
    row_cache = await awake(database)
    order = requested()
    asked = []
    for message in happy_story(order, packet_ids=("P-1", "P-2")):
        async with database.session() as tx:
            monologue = Monologue(tx)
            await remember(row_cache, monologue, message)
        asked.append(len(monologue.asked))
    assert asked == [1, 1, 1, 1, 2]  # with what was assigned it is read again
    assert (await published(database, order))["phase"] == "placed"


@pytest.mark.parametrize("cancelled_by", ["another daemon", "a job"])
async def test_what_is_remembered_of_an_order_that_was_decided_elsewhere_does_not_count(
    database: Database, cancelled_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust_the_clock_for_long(monkeypatch)
    row_cache = await awake(database)
    order = requested()
    async with database.session() as tx:
        await remember(row_cache, tx, order)
    if cancelled_by == "a job":
        await in_transaction(database, lambda tx: tx.execute("UPDATE saga SET deadline = accepted_at, due_at = now()"))
        await look(database, Due.OVERDUE)
    else:
        await hear(database, CancelOrder(order_id=order.order_id))
    for message in (PacketsReserved(order_id=order.order_id), order):
        async with database.session() as tx:
            with pytest.raises(Collision):
                await remember(row_cache, tx, message)
    assert (await published(database, order))["outcome"] == "not_placed"


class Monologue:
    """A connection that notes what it is asked."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self.asked: list[str] = []

    async def fetch(self, sql: str, *arguments: Any) -> Any:
        self.asked.append(sql)
        return await self._tx.fetch(sql, *arguments)

    def is_in_transaction(self) -> bool:
        return self._tx.is_in_transaction()


async def awake(database: Database) -> RowCache[Saga]:
    """A memory that knows the time."""
    row_cache = RowCache[Saga](TABLE)
    async with database.session() as tx:
        now = await tx.fetchval("SELECT clock_timestamp()")
        row_cache.clock.set(now, row_cache.clock.monotonic())
    return row_cache


async def remember(row_cache: RowCache[Saga], tx: Any, message: Message) -> Handled:
    """As the transport does while nobody is in the way."""
    handled = await handle(TERMS, row_cache, tx, [incoming(message)], LockMode.OPTIMISTIC)
    now = await write(tx, handled.writes)
    assert now is not None
    row_cache.clock.set(now, row_cache.clock.monotonic())
    row_cache.put(handled.changes)
    return handled
