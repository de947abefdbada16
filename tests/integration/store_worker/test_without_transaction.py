"""What is written without a transaction is not cut off by a cancellation, and does not count on another server."""

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from messages.contracts.store import PacketsAssigned
from messages.transport.database import transactions
from messages.transport.database.lock_mode import LockMode
from messages.transport.database.transactions import Transaction
from messages.transport.handled import Handled
from tests.integration.store_worker.messages import assign, refused, reserve, stock
from tests.integration.toy.station import has_lost_what_is_at_hand
from tests.integration.toy.waiting import PATIENCE_SECONDS, until
from tests.integration.workers import Worker, heard, is_waiting_for_a_lock, trust_the_clock_for_long


async def test_what_was_written_to_a_server_that_was_lost_does_not_count_on_the_next(
    store: Worker, url: str, order: UUID
) -> None:
    transactor = store.transactor()
    await store.hear(stock("milk", "M-1"))
    await transactor.handle([heard(reserve(order, milk=1))], lock_mode=LockMode.OPTIMISTIC)

    # It took over without the last commits, and counted the same versions since.
    await store.execute(
        "UPDATE reservation SET state = 'expired', reason = 'reservation_expired', unit_ids = '{}', due_at = NULL,"
        " forget_at = expires_at"
    )
    other = await asyncpg.connect(url)
    await other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid()"
    )
    await other.close()
    await until(lambda: has_lost_what_is_at_hand(store.database))
    handled = await transactor.handle([heard(assign(order))], lock_mode=LockMode.OPTIMISTIC)

    assert [said.message for said in handled.outgoing] == [refused(order, "reservation_expired")]


async def test_what_is_being_written_without_a_transaction_is_not_cut_off_by_a_cancellation(
    store: Worker, url: str, order: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "LAST_WORD_SECONDS", PATIENCE_SECONDS)
    await store.hear(stock("milk", "M-1"))
    await store.execute("""
        CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
            $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;
        CREATE TRIGGER dawdle AFTER INSERT ON reservation FOR EACH ROW EXECUTE FUNCTION dawdle();
    """)
    other = await asyncpg.connect(url)
    async with other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(1)")
        handling = asyncio.create_task(
            store.transactor().handle([heard(reserve(order, milk=1))], lock_mode=LockMode.OPTIMISTIC)
        )
        await until(lambda: _is_dawdling(store))
        handling.cancel()
        await asyncio.wait([handling], timeout=0.1)
        assert not handling.done(), "it waits for what it has begun to write"
    with pytest.raises(asyncio.CancelledError):
        await handling
    await other.close()

    assert await store.holdings() == {order: "reserved"}
    assert await store.hear(assign(order)) == [PacketsAssigned(order_id=order, packet_ids=("M-1",))]


async def test_what_is_written_is_remembered(store: Worker, order: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    trust_the_clock_for_long(monkeypatch)
    await store.hear(stock("milk", "M-1"))
    await store.transactor().handle([heard(reserve(order, milk=1))], lock_mode=LockMode.OPTIMISTIC)
    assert store.service.row_cache is not None

    async def read(_: object) -> Any:
        pytest.fail("it is asked for")

    known = await store.service.row_cache.load(LockMode.OPTIMISTIC, {order}, set(), read)
    assert known.rows[order].unit_ids == ("M-1",)


async def test_what_writes_nothing_leaves_what_is_known_of_the_time(
    store: Worker, order: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust_the_clock_for_long(monkeypatch)
    transactor = store.transactor()
    await transactor.handle([heard(reserve(order, milk=1))], lock_mode=LockMode.OPTIMISTIC)
    assert store.service.row_cache is not None
    before = store.service.row_cache.clock.now()
    assert before is not None

    async def nothing(_tx: Transaction) -> Handled:
        return Handled()

    await transactor.run(nothing)

    after = store.service.row_cache.clock.now()
    assert after is not None
    assert after >= before


async def _is_dawdling(store: Worker) -> bool:
    async with store.database.transaction() as tx:
        return await is_waiting_for_a_lock(tx)
