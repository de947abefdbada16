"""What the order saga does about messages, what of it is written, and concurrent writes of the same row."""

import asyncio
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from messages.contracts.delivery import AgentAssigned, AgentRefused, AgentReleased, AgentReserved, ReserveAgent
from messages.contracts.order import CancelOrder, Line, OrderNotPlaced, OrderPlaced
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
from messages.transport.database.writing import write
from messages.transport.faults import Collision
from messages.transport.handled import Alarm
from order_saga import queries
from order_saga.handlers import handle
from order_saga.rows import TABLE
from tests.integration.order_saga.orders import (
    A_PACKET,
    TERMS,
    blocked,
    eventually,
    execute,
    fetchval,
    happy_story,
    hear,
    hear_once,
    incoming,
    phases,
    plain,
    published,
    requested,
    said_types,
)


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
