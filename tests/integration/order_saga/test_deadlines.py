"""The jobs that look at orders that are due: what is too late is decided, and what is due first is looked at first."""

import asyncio

import pytest

from messages.contracts.delivery import AgentReleased
from messages.contracts.order import OrderNotPlaced
from messages.contracts.store import PacketsReleased
from messages.transport.database.postgres import Database
from order_saga import deadlines, queries
from order_saga.queries import Due
from tests.integration.order_saga.orders import (
    TRACEPARENT,
    blocked,
    execute,
    happy_story,
    hear,
    look,
    phases,
    plain,
    requested,
)


async def test_an_order_whose_deadline_has_passed_is_decided_and_later_cleaned(database: Database) -> None:
    order = requested()
    await hear(database, order)
    await execute(database, "UPDATE saga SET deadline = now(), due_at = now() - interval '1 second'")
    handled = await look(database, Due.OVERDUE)
    assert handled.outgoing[0].message == OrderNotPlaced(order_id=order.order_id, reason="deadline_passed")
    assert [(note.event, note.detail) for note in handled.timeline] == [
        ("Due", "reserving -> releasing: deadline_passed"),
        ("OutcomeTold", "not_placed"),
    ]
    assert {each.traceparent for each in handled.outgoing} == {TRACEPARENT}
    assert [each[:2] for each in handled.outcomes] == [("not_placed", "deadline_passed")]
    await execute(database, "UPDATE saga SET due_at = now(), asked_at = now() - interval '1 minute'")
    assert (await look(database, Due.UNCLEAN)).outcomes == []
    await hear(database, AgentReleased(order_id=order.order_id), PacketsReleased(order_id=order.order_id))
    assert await phases(database) == {"closed": 1}


async def test_an_order_whose_last_assignment_waited_for_a_lock_until_its_deadline_is_not_placed(
    database: Database,
) -> None:
    order = requested()
    *before, last = happy_story(order)
    await hear(database, *before)
    async with plain(database) as other, other.transaction():
        await other.execute("SELECT FROM saga FOR UPDATE")
        assigning = asyncio.create_task(hear(database, last))
        await blocked(database)
        await other.execute("UPDATE saga SET deadline = clock_timestamp()")
    told = (await assigning).outgoing[0].message
    assert told == OrderNotPlaced(order_id=order.order_id, reason="deadline_passed")


async def test_two_processes_share_what_is_due(database: Database) -> None:
    await hear(database, *(requested() for _ in range(6)))
    await execute(database, "UPDATE saga SET due_at = now(), asked_at = now() - interval '1 minute'")
    async with database.transaction() as first, database.transaction() as second:
        some = await queries.lock_due(first, Due.UNANSWERED, 4)
        rest = await queries.lock_due(second, Due.UNANSWERED, 4)
    assert (len(some), len(rest)) == (4, 2)
    assert not {each["order_id"] for each in some} & {each["order_id"] for each in rest}


async def test_what_is_due_first_is_looked_at_first(database: Database) -> None:
    orders = [requested() for _ in range(3)]
    await hear(database, *orders)
    for seconds, order in enumerate(orders):
        await execute(
            database,
            f"UPDATE saga SET due_at = now() - interval '{seconds + 1} seconds' WHERE order_id = '{order.order_id}'",
        )
    async with database.transaction() as tx:
        await tx.execute("SET LOCAL enable_indexscan = off")  # or they come in this order whether asked for or not
        due = await queries.lock_due(tx, Due.UNANSWERED, 2)
    assert [each["order_id"] for each in due] == [orders[2].order_id, orders[1].order_id]


@pytest.mark.usefixtures("longest_waits")
async def test_a_job_asks_to_be_run_again_while_it_may_not_have_seen_all(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "BATCH", 2)
    await hear(database, *(requested() for _ in range(3)))
    await execute(database, "UPDATE saga SET due_at = now(), asked_at = now() - interval '1 minute'")
    assert [(await look(database, Due.UNANSWERED)).more for _ in range(2)] == [True, False]


async def test_only_what_is_too_late_is_decided_while_answers_are_waiting(database: Database) -> None:
    late, due = requested(), requested()
    await hear(database, late, due)
    await execute(database, "UPDATE saga SET due_at = now(), asked_at = now() - interval '1 minute'")
    await execute(database, f"UPDATE saga SET deadline = now() WHERE order_id = '{late.order_id}'")
    handled = await look(database, Due.OVERDUE)
    assert {each.message.order_id for each in handled.outgoing} == {late.order_id}
