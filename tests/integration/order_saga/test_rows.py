"""What is written of an order, and what is published of it."""

import uuid

from messages.contracts.delivery import AgentAssigned, AgentReserved
from messages.contracts.order import CancelOrder, Line
from messages.contracts.store import PacketsReserved
from messages.transport.database.postgres import Database
from tests.integration.order_saga.orders import TERMS, eventually, execute, fetchval, hear, phases, published, requested


async def test_what_changes_nothing_is_not_written(database: Database) -> None:
    order = requested()
    reserved = PacketsReserved(order_id=order.order_id)
    await hear(database, order, reserved)
    version = await fetchval(database, "SELECT version FROM saga")
    handled = await hear(database, order, reserved)
    assert [note.detail for note in handled.timeline] == ["no effect", "no effect"]
    assert await fetchval(database, "SELECT version FROM saga") == version


async def test_moving_from_reserving_to_assigning_touches_no_index(database: Database) -> None:
    orders = [requested() for _ in range(20)]
    await hear(database, *orders)
    await execute(database, "VACUUM saga")
    for order in orders:
        await hear(database, PacketsReserved(order_id=order.order_id))
        await hear(database, AgentReserved(order_id=order.order_id))
        await hear(database, AgentAssigned(order_id=order.order_id, agent_id="A-1"))
    assert await phases(database) == {"assigning": 20}
    await database.close()  # a session counts what it did at the latest when it ends
    await eventually(
        database,
        "SELECT n_tup_upd = 60 AND n_tup_hot_upd > 50 FROM pg_stat_user_tables WHERE relname = 'saga'",
    )


async def test_what_is_published_of_an_order(database: Database) -> None:
    order = requested(
        lines=(Line(sku="milk", quantity=2, price_cents=99), Line(sku="bread", quantity=1, price_cents=250))
    )
    await hear(database, order)
    row = await published(database, order)
    assert (row["phase"], row["outcome"], row["zone"], row["cleaned_at"]) == ("reserving", None, "Z-1", None)
    assert row["lines"] == '[{"sku": "bread", "quantity": 1}, {"sku": "milk", "quantity": 2}]'
    assert row["deadline"] - row["accepted_at"] == TERMS.budget


async def test_an_order_cancelled_before_it_was_heard_of_is_published_without_what_nobody_knows(
    database: Database,
) -> None:
    cancel = CancelOrder(order_id=uuid.uuid4())
    await hear(database, cancel)
    row = await published(database, cancel)
    assert (row["phase"], row["outcome"], row["reason"]) == ("closed", "not_placed", "cancelled")
    assert [row[name] for name in ("store_id", "zone", "lines", "deadline")] == [None] * 4
    assert row["accepted_at"] is not None
