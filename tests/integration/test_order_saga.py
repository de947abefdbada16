"""The order saga on a real PostgreSQL: what is written, what may not be, and concurrent writes of the same row."""

import asyncio
import json
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import order_saga
from messages.contracts.delivery import AgentAssigned, AgentRefused, AgentReleased, AgentReserved, ReserveAgent
from messages.contracts.message import Message
from messages.contracts.order import CancelOrder, Line, OrderNotPlaced, OrderPlaced, OrderRequested
from messages.contracts.participation import OutcomeRequested, Release
from messages.contracts.store import (
    PacketsAssigned,
    PacketsRefused,
    PacketsReleased,
    PacketsReserved,
    ReservePackets,
)
from messages.transport.database.lock_mode import LockMode
from messages.transport.database.postgres import Database
from messages.transport.database.row_cache import RowCache
from messages.transport.database.transactions import Transaction, locking
from messages.transport.database.writing import write
from messages.transport.faults import Collision
from messages.transport.handled import Alarm, Handled
from messages.transport.incoming import Incoming
from order_saga import deadlines, queries
from order_saga.handlers import handle
from order_saga.queries import Due
from order_saga.rows import TABLE
from order_saga.service import service
from order_saga.settings import Settings
from order_saga.state import Phase, Saga
from tests.conftest import NewDatabase
from tests.integration.workers import trust_the_clock_for_long

MIGRATIONS = Path(order_saga.__file__).parent / "migrations"
SETTINGS = Settings(database_url="postgresql://nowhere/", budget_seconds=15, lease_seconds=30)
SERVICE = service(SETTINGS)
AT_ONCE = SETTINGS.model_copy(update={"remember_seconds": 0})
TERMS = SETTINGS.policy
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

A_PACKET = ("P-1",)
NOT_PLACED = "outcome = 'not_placed', reason = 'cancelled', decided_at = now()"


@pytest.fixture
async def database_url(new_database: NewDatabase) -> str:
    return await new_database(MIGRATIONS)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def longest_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """No repeat is due again at once because chance has it so."""
    monkeypatch.setattr(random, "random", lambda: 1.0)


async def test_an_order_is_placed_message_by_message(database: Database) -> None:
    order = requested()
    first = await hear(database, order)
    assert said_types(first) == [ReservePackets, ReserveAgent]
    await hear(database, AgentReserved(order_id=order.order_id))
    await hear(database, PacketsReserved(order_id=order.order_id))
    await hear(database, AgentAssigned(order_id=order.order_id, agent_id="A-1"))
    last = await hear(database, PacketsAssigned(order_id=order.order_id, packet_ids=A_PACKET))
    assert said_types(last) == [OrderPlaced] * 3
    assert last.outgoing[0].message == OrderPlaced(order_id=order.order_id, packet_ids=A_PACKET, agent_id="A-1")
    row = await published(database, order)
    assert (row["phase"], row["outcome"], row["store_id"]) == ("placed", "placed", "S-1")


async def test_an_order_is_placed_by_one_batch_that_holds_everything(database: Database) -> None:
    order = requested()
    handled = await hear(database, *happy_story(order))
    assert [note.detail for note in handled.timeline] == [
        "reserving",
        "reserving: awaiting delivery",
        "reserving -> assigning",
        "assigning: awaiting delivery",
        "assigning -> placed",
        "placed",
    ]
    assert [note.event for note in handled.timeline][-2:] == ["AgentAssigned", "OutcomeTold"]
    assert (await published(database, order))["outcome"] == "placed"


async def test_an_outcome_is_counted_when_the_order_is_decided_and_not_when_it_is_told_again(
    database: Database,
) -> None:
    order, refused = requested(), requested()
    undecided = await hear(database, *happy_story(order)[:-1], refused)
    assert undecided.outcomes == []
    refusal = AgentRefused(order_id=refused.order_id, reason="no_agent")
    decided = await hear(database, happy_story(order)[-1], refusal, order, refused)
    assert sorted(each[:2] for each in decided.outcomes) == [("not_placed", "no_agent"), ("placed", "")]
    assert all(each.seconds is not None and 0 < each.seconds < 10 for each in decided.outcomes)
    again = await hear(database, order, refused, CancelOrder(order_id=refused.order_id))
    assert len(again.outgoing) == 3
    released = [kind(order_id=refused.order_id) for kind in (AgentReleased, PacketsReleased)]
    cleaned = await hear(database, *released)
    assert (again.outcomes, cleaned.outcomes, len(cleaned.changes)) == ([], [], 1)


async def test_an_order_that_is_decided_with_its_first_message_is_counted_once(database: Database) -> None:
    cancel = CancelOrder(order_id=uuid.uuid4())
    assert (await hear(database, cancel, cancel)).outcomes == [("not_placed", "cancelled", None)]
    assert (await hear(database, cancel)).outcomes == []


async def test_a_deadline_that_was_over_when_the_order_came_is_counted_apart_and_told_as_any_other(
    database: Database,
) -> None:
    late = requested(deadline=datetime.now(UTC) - timedelta(seconds=1))
    handled = await hear(database, late)
    assert handled.outcomes == [("not_placed", "deadline_passed_before", None)]
    assert handled.outgoing[0].message == OrderNotPlaced(order_id=late.order_id, reason="deadline_passed")


async def test_what_changes_nothing_is_not_written(database: Database) -> None:
    order = requested()
    reserved = PacketsReserved(order_id=order.order_id)
    await hear(database, order, reserved)
    version = await fetchval(database, "SELECT version FROM saga")
    handled = await hear(database, order, reserved)
    assert [note.detail for note in handled.timeline] == ["no effect", "no effect"]
    assert await fetchval(database, "SELECT version FROM saga") == version


async def test_many_orders_in_one_batch_do_not_mix(database: Database) -> None:
    orders = [requested() for _ in range(50)]
    stories = [happy_story(order, packet_ids=(f"P-{n}",), agent_id=f"A-{n}") for n, order in enumerate(orders)]
    handled = await hear(database, *(message for step in zip(*stories, strict=True) for message in step))
    told = {each.message.order_id: each.message for each in handled.outgoing if isinstance(each.message, OrderPlaced)}
    assert {told[order.order_id].packet_ids for order in orders} == {(f"P-{n}",) for n in range(50)}
    assert all(told[order.order_id].packet_ids[0][2:] == told[order.order_id].agent_id[2:] for order in orders)


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


async def test_a_participants_question_about_an_unknown_order_commits_that_it_is_not_placed(database: Database) -> None:
    order = requested()
    handled = await hear(database, OutcomeRequested(order_id=order.order_id, participant="store"))
    assert len(handled.outgoing) == 1
    assert isinstance(handled.outgoing[0].message, Release)
    later = await hear(database, order)
    assert said_types(later) == [OrderNotPlaced]
    assert (await published(database, order))["reason"] == "unknown_order"


async def test_answers_of_both_participants_at_once_lose_nothing(database: Database) -> None:
    """Two processes hear one answer each about the same orders, in opposite order."""
    orders = [requested() for _ in range(20)]
    await hear(database, *orders)
    packets = [PacketsReserved(order_id=order.order_id) for order in orders]
    agents = [AgentReserved(order_id=order.order_id) for order in reversed(orders)]
    await asyncio.gather(hear(database, *packets), hear(database, *agents))
    assert await phases(database) == {"assigning": 20}


async def test_a_cancel_and_the_last_assignment_at_once_have_one_outcome(database: Database) -> None:
    orders = [requested() for _ in range(20)]
    for order in orders:
        await hear(database, *happy_story(order)[:-1])
    last = [happy_story(order)[-1] for order in orders]
    cancels = [CancelOrder(order_id=order.order_id) for order in orders]
    both = await asyncio.gather(hear(database, *last), hear(database, *cancels))
    told = [each.message for handled in both for each in handled.outgoing if each.to.exchange == "outcomes"]
    outcomes = Counter(message.order_id for message in told if isinstance(message, (OrderPlaced, OrderNotPlaced)))
    assert outcomes == {order.order_id: 1 for order in orders}


async def test_an_order_that_two_transactions_create_is_a_collision_for_one_and_then_heard_again(
    database: Database,
) -> None:
    order = requested()
    async with database.transaction() as tx:
        handled = await handle(TERMS, RowCache(TABLE), tx, [incoming(order)], LockMode.PESSIMISTIC)
        await write(tx, handled.writes)
        other = asyncio.create_task(hear_once(database, order))
        await blocked(database)
    with pytest.raises(Collision):
        await other
    assert (await hear(database, order)).timeline[0].detail == "no effect"


async def test_what_is_read_in_a_transaction_is_locked_in_the_order_of_the_ids(database: Database) -> None:
    low, high = sorted(uuid.uuid4() for _ in range(2))
    for order_id in (high, low):
        await hear(database, requested(order_id=order_id))
    lock = "SELECT FROM saga WHERE order_id = $1 FOR UPDATE NOWAIT"
    async with database.transaction() as tx, plain(database) as other:
        async with other.transaction():
            await other.execute(lock, low)
            reading = asyncio.create_task(queries.read(tx, [high, low]))
            await blocked(database)
            await other.execute(lock, high)
        await reading
        for order_id in (low, high):
            with pytest.raises(asyncpg.LockNotAvailableError):
                await other.execute(lock, order_id)


async def test_what_participants_say_of_a_placed_order_that_they_do_not_hold_raises_an_alarm(
    database: Database,
) -> None:
    order = requested()
    await hear(database, *happy_story(order))
    refused = incoming(PacketsRefused(order_id=order.order_id, reason="out_of_stock"))
    async with database.transaction() as tx:
        handled = await handle(TERMS, RowCache(TABLE), tx, [refused], LockMode.PESSIMISTIC)
    assert handled.alarms == [Alarm("placed_but_not_held", order.order_id, "PacketsRefused", refused)]


async def test_a_row_that_was_read_without_a_lock_and_changed_since_cannot_be_overwritten(database: Database) -> None:
    order = requested()
    async with database.session() as tx:
        await hear(database, order)
        _, sagas = await queries.read(tx, [order.order_id])
        await hear(database, AgentReserved(order_id=order.order_id))
        writes = queries.write((saga, saga._replace(repeats=1)) for saga in sagas.values())
        with pytest.raises(Collision):
            await write(tx, writes)


@pytest.mark.parametrize(
    ("outcome", "change"),
    [
        ("placed", "outcome = 'not_placed', phase = 'releasing', reason = 'cancelled', granted = '{}'"),
        ("placed", "outcome = NULL, phase = 'assigning', decided_at = NULL"),
        ("placed", """granted = '{"store": ["P-2"], "delivery": ["A-1"]}'"""),
        ("placed", "decided_at = decided_at + interval '1 second'"),
        ("not_placed", "reason = 'cancelled'"),
        ("not_placed", "participant = 'store'"),
        ("not_placed", "decided_at = decided_at + interval '1 second'"),
    ],
)
async def test_an_outcome_is_written_once(database: Database, outcome: str, change: str) -> None:
    order = requested()
    refused = AgentRefused(order_id=order.order_id, reason="no_agent")
    await hear(database, *(happy_story(order) if outcome == "placed" else [order, refused]))
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="is final"):
        await execute(database, f"UPDATE saga SET {change}")


@pytest.mark.parametrize(
    "standing",
    ['{"store": "assigned", "delivery": "reserved"}', '{"store": "reserved", "delivery": "reserved"}', "{}"],
)
async def test_no_order_is_placed_unless_everybody_has_assigned(database: Database, standing: str) -> None:
    await hear(database, requested())
    with pytest.raises(asyncpg.CheckViolationError, match="placed_only_if_all_assigned"):
        await execute(
            database,
            f"""UPDATE saga SET standing = '{standing}', phase = 'placed', outcome = 'placed', decided_at = now(),
                                granted = '{{"store": ["P-1"], "delivery": ["A-1"]}}'""",
        )


@pytest.mark.parametrize("granted", ["{}", '{"store": ["P-1"]}', '{"store": ["P-1"], "delivery": []}'])
async def test_no_order_is_placed_unless_everybody_has_granted_something(database: Database, granted: str) -> None:
    await hear(database, requested())
    with pytest.raises(asyncpg.CheckViolationError, match="placed_only_if_all_granted"):
        await execute(
            database,
            f"""UPDATE saga SET standing = '{{"store": "assigned", "delivery": "assigned"}}', granted = '{granted}',
                                phase = 'placed', outcome = 'placed', decided_at = now()""",
        )


@pytest.mark.parametrize(
    ("constraint", "change"),
    [
        ("outcome_follows_phase", "phase = 'placed'"),
        ("outcome_follows_phase", "outcome = 'placed', decided_at = now()"),
        ("decided_has_a_time", "decided_at = now()"),
        ("not_placed_has_a_reason", "reason = 'cancelled'"),
        ("not_placed_has_a_reason", "phase = 'releasing', outcome = 'not_placed', decided_at = now()"),
        ("nothing_granted_if_not_placed", f"""phase = 'releasing', {NOT_PLACED}, granted = '{{"store": ["P-1"]}}'"""),
        ("closed_only_if_all_released", f"phase = 'releasing', {NOT_PLACED}, cleaned_at = now()"),
        ("closed_only_if_all_released", f"phase = 'closed', {NOT_PLACED}"),
        ("closed_only_if_all_released", f"phase = 'closed', {NOT_PLACED}, cleaned_at = now()"),
        ("closed_only_if_all_released", "cleaned_at = now()"),
        ("decided_has_a_time", "phase = 'releasing', outcome = 'not_placed', reason = 'cancelled'"),
        ("phase_is_known", "phase = 'done'"),
    ],
)
async def test_a_row_that_contradicts_itself_is_refused(database: Database, constraint: str, change: str) -> None:
    await hear(database, requested())
    with pytest.raises(asyncpg.CheckViolationError, match=constraint):
        await execute(database, f"UPDATE saga SET {change}")


async def test_a_row_that_contradicts_itself_is_not_created_either(database: Database) -> None:
    await hear(database, requested())
    placed = {
        "order_id": str(uuid.uuid4()),
        "standing": {"store": "assigned", "delivery": "assigned"},
        "phase": "placed",
        "outcome": "placed",
        "decided_at": "2030-01-01",
    }
    with pytest.raises(asyncpg.CheckViolationError, match="placed_only_if_all_granted"):
        await execute(
            database,
            "INSERT INTO saga SELECT placed.* FROM saga, jsonb_populate_record(saga,"
            f" '{json.dumps(placed)}') AS placed",
        )


async def test_what_a_batch_writes_is_refused_as_a_whole_if_one_order_would_contradict_itself(
    database: Database,
) -> None:
    """The triggers fire at the end of the statement, which has written all the others by then."""
    good, bad = requested(), requested()
    await hear(database, good, bad)
    async with database.session() as tx:
        _, sagas = await queries.read(tx, [good.order_id, bad.order_id])
        moved = sagas[good.order_id]._replace(repeats=1)
        placed = sagas[bad.order_id]._replace(phase=Phase.PLACED, decided_at=datetime.now(UTC))
        writes = queries.write([(sagas[good.order_id], moved), (sagas[bad.order_id], placed)])
        with pytest.raises(asyncpg.CheckViolationError, match="placed_only_if_all_assigned"):
            await write(tx, writes)
    assert await phases(database) == {"reserving": 2}
    assert await fetchval(database, "SELECT max(repeats) FROM saga") == 0


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
    assert "cannot be put off" in handled.alarms[0].detail


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


async def test_what_an_old_order_was_about_is_forgotten_and_its_outcome_is_not(database: Database) -> None:
    placed, not_placed, open_ = (requested() for _ in range(3))
    await hear(database, *happy_story(placed))
    await hear(database, not_placed, AgentRefused(order_id=not_placed.order_id, reason="no_agent"), open_)
    await in_transaction(database, deadlines.Forgetting(SETTINGS))
    assert (await published(database, placed))["lines"] is not None
    await in_transaction(database, deadlines.Forgetting(AT_ONCE))
    assert (await published(database, placed))["lines"] is None
    assert (await published(database, not_placed))["lines"] is not None
    assert said_types(await hear(database, placed)) == [OrderPlaced]
    conflicting = requested(order_id=placed.order_id, zone="elsewhere")
    assert (await hear(database, conflicting)).timeline[0].detail == "rejected: conflict"


async def test_what_an_order_was_about_is_forgotten_only_after_it_has_been_done_for_long(database: Database) -> None:
    placed, closed = requested(), requested()
    refusal = AgentRefused(order_id=closed.order_id, reason="no_agent")
    released = [kind(order_id=closed.order_id) for kind in (AgentReleased, PacketsReleased)]
    await hear(database, *happy_story(placed), closed, refusal, *released)
    await in_transaction(database, deadlines.Forgetting(SETTINGS))
    assert [(await published(database, order))["lines"] is None for order in (placed, closed)] == [False, False]
    # The outcome is final, and so is its time: there the clock cannot be put forward.
    await in_transaction(database, deadlines.Forgetting(AT_ONCE))
    assert [(await published(database, order))["lines"] is None for order in (placed, closed)] == [True, True]


async def test_there_is_more_to_forget_while_not_all_has_been_seen(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "BATCH", 2)
    for _ in range(3):
        await hear(database, *happy_story(requested()))
    forget = deadlines.Forgetting(AT_ONCE)
    assert [(await in_transaction(database, forget)).more for _ in range(2)] == [True, False]


async def test_one_order_that_cannot_be_forgotten_keeps_no_other_remembered(database: Database) -> None:
    bad, *good = [requested() for _ in range(5)]
    for order in (bad, *good):
        await hear(database, *happy_story(order))
    await contradict(database, f"order_id = '{bad.order_id}'")
    forget = deadlines.Forgetting(AT_ONCE)
    for _ in range(2):
        handled = await in_transaction(database, forget)
        assert [(alarm.name, alarm.order_id) for alarm in handled.alarms] == [("due_saga_failed", bad.order_id)]
        assert [(await published(database, order))["lines"] is None for order in good] == [True] * 4
    assert (await published(database, bad))["lines"] is not None


async def test_whole_batches_of_orders_that_cannot_be_forgotten_are_passed_over_once_each_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decided by one batch, they have the same time."""
    monkeypatch.setattr(deadlines, "BATCH", 2)
    await hear(database, *(message for _ in range(5) for message in happy_story(requested())))
    await contradict(database, "true")
    good = requested()
    await hear(database, *happy_story(good))
    forget = deadlines.Forgetting(AT_ONCE)
    for _ in range(2):
        runs = [await in_transaction(database, forget) for _ in range(4)]
        assert [(run.more, len(run.alarms)) for run in runs[:2]] == [(True, 2), (True, 2)]
        assert len({alarm.order_id for run in runs for alarm in run.alarms}) == 5
        assert (await published(database, good))["lines"] is None


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
    handled = await handle(TERMS, row_cache, tx, [incoming(message)], LockMode.CACHED)
    now = await write(tx, handled.writes)
    assert now is not None
    row_cache.clock.set(now, row_cache.clock.monotonic())
    row_cache.put(handled.changes)
    return handled


def requested(**changes: Any) -> OrderRequested:
    fields: dict[str, Any] = {
        "order_id": uuid.uuid4(),
        "customer_id": "C-1",
        "store_id": "S-1",
        "zone": "Z-1",
        "lines": (Line(sku="milk", quantity=1, price_cents=99),),
        "deadline": datetime.now(UTC) + timedelta(hours=1),
    }
    return OrderRequested(**fields | changes)


def happy_story(
    order: OrderRequested, packet_ids: tuple[str, ...] = A_PACKET, agent_id: str = "A-1"
) -> Sequence[Message]:
    order_id = order.order_id
    return [
        order,
        PacketsReserved(order_id=order_id),
        AgentReserved(order_id=order_id),
        PacketsAssigned(order_id=order_id, packet_ids=packet_ids),
        AgentAssigned(order_id=order_id, agent_id=agent_id),
    ]


def incoming(message: Message) -> Incoming:
    return Incoming(message, uuid.uuid4(), TRACEPARENT)


async def hear(database: Database, *messages: Message) -> Handled:
    """As the transport does: orders locked, handled in one transaction, and again after a collision."""
    while True:
        try:
            return await hear_once(database, *messages)
        except Collision:
            continue


async def hear_once(database: Database, *messages: Message) -> Handled:
    order_ids = {message.order_id for message in messages if message.order_id is not None}
    async with database.transaction(locking(SERVICE.locks, order_ids)) as tx:
        handled = await handle(
            TERMS, RowCache(TABLE), tx, [incoming(message) for message in messages], LockMode.PESSIMISTIC
        )
        await write(tx, handled.writes)
        return handled


async def look(database: Database, which: Due) -> Handled:
    handled: Handled = await in_transaction(database, partial(deadlines.look_at_due, which, TERMS))
    return handled


async def contradict(database: Database, which: str) -> None:
    """Give orders that are not "not placed" a reason why they are: whoever changes anything of them is refused."""
    await execute(database, f"SET LOCAL session_replication_role = replica; UPDATE saga SET reason = 'x' WHERE {which}")


async def in_transaction(database: Database, work: Callable[[Transaction], Any]) -> Any:
    async with database.transaction() as tx:
        return await work(tx)


async def published(database: Database, message: Message) -> asyncpg.Record:
    async with database.transaction() as tx:
        row: asyncpg.Record | None = await tx.fetchrow(
            "SELECT * FROM published.orders WHERE order_id = $1", message.order_id
        )
    assert row is not None
    return row


async def phases(database: Database) -> dict[str, int]:
    async with database.transaction() as tx:
        return dict(await tx.fetch("SELECT phase, count(*) FROM saga GROUP BY phase"))


async def fetchval(database: Database, statement: str) -> Any:
    async with database.transaction() as tx:
        return await tx.fetchval(statement)


async def execute(database: Database, statement: str) -> None:
    async with plain(database) as connection:
        await connection.execute(statement)


@asynccontextmanager
async def plain(database: Database) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(database._url)
    try:
        yield connection
    finally:
        await connection.close()


async def blocked(database: Database) -> None:
    """Wait until somebody waits for a lock in this database."""
    await eventually(
        database,
        "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE NOT granted AND datname = current_database())",
    )


async def eventually(database: Database, condition: str) -> None:
    async with asyncio.timeout(10), plain(database) as connection:
        while not await connection.fetchval(condition):  # noqa: ASYNC110  no event tells of another session
            await asyncio.sleep(0.01)


def said_types(handled: Handled) -> list[type[Message]]:
    return [type(each.message) for each in handled.outgoing]
