"""An order that cannot be read, written or put off keeps no other that is due waiting."""

import asyncpg
import pytest

from messages.transport.database.postgres import Database
from order_saga import deadlines
from order_saga.queries import Due
from tests.integration.order_saga.orders import contradict, execute, fetchval, hear, look, requested


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
