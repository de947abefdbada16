"""Who does not answer is asked again: neither at once nor all together, and one batch of orders at a time."""

import random
from functools import partial

import pytest

from messages.contracts.delivery import AgentRefused, AgentReleased
from messages.contracts.store import PacketsReleased, PacketsReserved
from messages.transport.database.postgres import Database
from order_saga import deadlines, queries
from order_saga.queries import Due
from tests.integration.order_saga.orders import (
    TERMS,
    TRACEPARENT,
    execute,
    fetchval,
    hear,
    in_transaction,
    look,
    requested,
)


async def test_orders_that_are_due_together_are_not_asked_again_together(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "random", random.Random(7).random)  # no two of them alike
    await hear(database, *(requested() for _ in range(5)))
    await execute(database, "UPDATE saga SET due_at = now(), asked_at = now() - interval '1 minute'")
    await look(database, Due.UNANSWERED)
    assert await fetchval(database, "SELECT count(DISTINCT due_at) FROM saga") == 5


@pytest.mark.usefixtures("longest_waits")
async def test_what_is_unanswered_is_asked_again_with_what_the_order_is_about(database: Database) -> None:
    order = requested()
    first = await hear(database, order, PacketsReserved(order_id=order.order_id))
    await execute(database, "UPDATE saga SET due_at = now(), asked_at = now() - interval '1 minute'")
    before = await fetchval(database, "SELECT clock_timestamp()")
    again = await look(database, Due.UNANSWERED)
    assert [each.message for each in again.outgoing] == [first.outgoing[1].message]
    assert await fetchval(database, "SELECT due_at FROM saga") >= before + 2 * TERMS.repeat_base


async def test_an_order_that_has_just_moved_on_is_not_asked_again_yet(database: Database) -> None:
    order = requested()
    await hear(database, order)
    await execute(database, "UPDATE saga SET due_at = now()")
    handled = await look(database, Due.UNANSWERED)
    assert (handled.outgoing, handled.timeline) == ([], [])
    assert await fetchval(database, "SELECT due_at - asked_at FROM saga") == TERMS.repeat_base


async def test_release_is_repeated_until_all_have_answered(database: Database) -> None:
    order = requested()
    await hear(database, order, AgentRefused(order_id=order.order_id, reason="no_agent"))
    await hear(database, AgentReleased(order_id=order.order_id))
    for _ in range(TERMS.alarm_after_repeats):
        await execute(database, "UPDATE saga SET due_at = now(), asked_at = now() - interval '1 minute'")
        handled = await look(database, Due.UNCLEAN)
        assert [each.to.key for each in handled.outgoing] == ["store_worker.settle"]
    assert [(alarm.name, alarm.traceparent) for alarm in handled.alarms] == [("unanswered", TRACEPARENT)]
    await hear(database, PacketsReleased(order_id=order.order_id))
    await execute(database, "UPDATE saga SET due_at = now()")
    async with database.transaction() as tx:
        assert await queries.lock_due(tx, Due.UNCLEAN, 1) == []


async def test_release_is_repeated_for_one_batch_of_orders_at_a_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "BATCH", 2)
    orders = [requested() for _ in range(3)]
    await hear(database, *orders, *(AgentRefused(order_id=each.order_id, reason="no_agent") for each in orders))
    await execute(database, "UPDATE saga SET due_at = now(), asked_at = now() - interval '1 minute'")
    handled = await in_transaction(database, partial(deadlines.look_at_unclean, TERMS))
    assert len({each.message.order_id for each in handled.outgoing}) == 2
    assert not handled.more
