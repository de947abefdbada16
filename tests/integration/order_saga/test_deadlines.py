"""The jobs that look at orders that are due, and who keeps nobody else waiting."""

import asyncio
from functools import partial

import asyncpg
import pytest

from messages.contracts.delivery import AgentRefused, AgentReleased
from messages.contracts.order import OrderNotPlaced
from messages.contracts.store import PacketsReleased, PacketsReserved
from messages.transport.database.postgres import Database
from order_saga import deadlines, queries
from order_saga.queries import Due
from tests.integration.order_saga.orders import (
    TERMS,
    TRACEPARENT,
    blocked,
    contradict,
    execute,
    fetchval,
    happy_story,
    hear,
    in_transaction,
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


async def test_orders_that_are_due_together_are_not_asked_again_together(database: Database) -> None:
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
    assert [alarm.name for alarm in handled.alarms] == ["unanswered"]
    await hear(database, PacketsReleased(order_id=order.order_id))
    await execute(database, "UPDATE saga SET due_at = now()")
    async with database.transaction() as tx:
        assert await queries.lock_due(Due.UNCLEAN, tx, 1) == []


async def test_two_processes_share_what_is_due(database: Database) -> None:
    await hear(database, *(requested() for _ in range(6)))
    await execute(database, "UPDATE saga SET due_at = now(), asked_at = now() - interval '1 minute'")
    async with database.transaction() as first, database.transaction() as second:
        some = await queries.lock_due(Due.UNANSWERED, first, 4)
        rest = await queries.lock_due(Due.UNANSWERED, second, 4)
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
        due = await queries.lock_due(Due.UNANSWERED, tx, 2)
    assert [each["order_id"] for each in due] == [orders[2].order_id, orders[1].order_id]


async def test_one_bad_row_keeps_no_other_order_waiting(database: Database) -> None:
    bad, *good = [requested() for _ in range(5)]
    await hear(database, bad, *good)
    await execute(database, "UPDATE saga SET due_at = now(), asked_at = now() - interval '1 minute'")
    await execute(
        database, f"UPDATE saga SET request = '[]', due_at = now() - interval '1 s' WHERE order_id = '{bad.order_id}'"
    )
    handled = await look(database, Due.UNANSWERED)
    assert {each.message.order_id for each in handled.outgoing} == {order.order_id for order in good}
    assert [(alarm.name, alarm.order_id) for alarm in handled.alarms] == [("due_saga_failed", bad.order_id)]
    assert (await look(database, Due.UNANSWERED)).alarms == []


async def test_one_row_that_cannot_be_written_keeps_no_other_order_waiting(database: Database) -> None:
    bad, *good = [requested() for _ in range(5)]
    await hear(database, bad, *good)
    await execute(database, "UPDATE saga SET due_at = now(), asked_at = now() - interval '1 minute'")
    await execute(database, f"ALTER TABLE saga ADD CHECK (repeats = 0 OR order_id <> '{bad.order_id}')")
    handled = await look(database, Due.UNANSWERED)
    assert {each.message.order_id for each in handled.outgoing} == {order.order_id for order in good}
    assert [(alarm.name, alarm.order_id) for alarm in handled.alarms] == [("due_saga_failed", bad.order_id)]
    assert await fetchval(database, "SELECT sum(repeats) FROM saga") == 4


async def test_one_row_that_cannot_be_read_keeps_no_other_order_waiting(database: Database) -> None:
    """As after a rollback from a release that knows more of what a participant can answer."""
    bad, *good = [requested() for _ in range(5)]
    await hear(database, bad, *good)
    await execute(database, "UPDATE saga SET due_at = now(), asked_at = now() - interval '1 minute'")
    await execute(database, f"""UPDATE saga SET standing = '{{"store": "lost"}}' WHERE order_id = '{bad.order_id}'""")
    handled = await look(database, Due.UNANSWERED)
    assert {each.message.order_id for each in handled.outgoing} == {order.order_id for order in good}
    assert [(alarm.name, alarm.order_id) for alarm in handled.alarms] == [("due_saga_failed", bad.order_id)]
    assert (await look(database, Due.UNANSWERED)).alarms == []


async def test_one_row_that_cannot_even_be_put_off_keeps_no_other_order_waiting(database: Database) -> None:
    bad, *good = [requested() for _ in range(5)]
    await hear(database, bad, *good)
    await execute(database, "UPDATE saga SET due_at = now(), asked_at = now() - interval '1 minute'")
    await contradict(database, f"order_id = '{bad.order_id}'")
    handled = await look(database, Due.UNANSWERED)
    assert {each.message.order_id for each in handled.outgoing} == {order.order_id for order in good}
    assert [(alarm.name, alarm.order_id) for alarm in handled.alarms] == [("due_saga_failed", bad.order_id)]
    assert "could not be rescheduled" in handled.alarms[0].detail


async def test_a_whole_batch_of_rows_that_cannot_be_put_off_does_not_keep_the_job_spinning(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "BATCH", 2)
    await hear(database, requested(), requested(), requested())
    await execute(database, "UPDATE saga SET due_at = now(), asked_at = now() - interval '1 minute'")
    await contradict(database, "true")
    assert not (await look(database, Due.UNANSWERED)).more


async def test_a_failing_database_makes_no_order_a_culprit(database: Database) -> None:
    await hear(database, requested())
    await execute(database, "UPDATE saga SET due_at = now(), asked_at = now() - interval '1 minute'")
    await execute(
        database,
        """CREATE FUNCTION run_out() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN RAISE EXCEPTION 'no memory' USING ERRCODE = 'out_of_memory'; END $$;
           CREATE TRIGGER runs_out BEFORE UPDATE ON saga FOR EACH ROW WHEN (NEW.repeats > 0)
               EXECUTE FUNCTION run_out()""",
    )
    with pytest.raises(asyncpg.OutOfMemoryError):
        await look(database, Due.UNANSWERED)


@pytest.mark.usefixtures("longest_waits")
async def test_a_job_asks_to_be_run_again_while_it_may_not_have_seen_all(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "BATCH", 2)
    await hear(database, *(requested() for _ in range(3)))
    await execute(database, "UPDATE saga SET due_at = now(), asked_at = now() - interval '1 minute'")
    assert [(await look(database, Due.UNANSWERED)).more for _ in range(2)] == [True, False]


async def test_release_is_repeated_for_one_batch_of_orders_at_a_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "BATCH", 2)
    orders = [requested() for _ in range(3)]
    await hear(database, *orders, *(AgentRefused(order_id=each.order_id, reason="no_agent") for each in orders))
    await execute(database, "UPDATE saga SET due_at = now(), asked_at = now() - interval '1 minute'")
    handled = await in_transaction(database, partial(deadlines.release_again, TERMS))
    assert len({each.message.order_id for each in handled.outgoing}) == 2
    assert not handled.more


async def test_only_what_is_too_late_is_decided_while_answers_are_waiting(database: Database) -> None:
    late, due = requested(), requested()
    await hear(database, late, due)
    await execute(database, "UPDATE saga SET due_at = now(), asked_at = now() - interval '1 minute'")
    await execute(database, f"UPDATE saga SET deadline = now() WHERE order_id = '{late.order_id}'")
    handled = await look(database, Due.OVERDUE)
    assert {each.message.order_id for each in handled.outgoing} == {late.order_id}


async def test_there_is_room_for_as_many_orders_as_the_limit_leaves_beside_the_undecided(database: Database) -> None:
    orders = [requested() for _ in range(5)]
    await hear(database, *orders)
    await hear(database, *happy_story(orders[0])[1:])
    async with database.transaction() as tx:
        assert await queries.capacity(tx, undecided_limit=10) == 6
        assert await queries.capacity(tx, undecided_limit=4) == 0
        assert await queries.capacity(tx, undecided_limit=3) == 0, "counting stops at the limit"
