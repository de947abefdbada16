"""The job that deletes the content of orders that have been done for long."""

import asyncio

import pytest

from messages.contracts.delivery import AgentRefused, AgentReleased
from messages.contracts.order import OrderPlaced
from messages.contracts.store import PacketsReleased
from messages.transport.database.postgres import Database
from messages.transport.database.transactions import locking
from order_saga import deadlines
from tests.integration.order_saga.orders import (
    SETTINGS,
    contradict,
    execute,
    happy_story,
    hear,
    in_transaction,
    published,
    requested,
    said_types,
)
from tests.integration.toy.waiting import PATIENCE_SECONDS

AT_ONCE = SETTINGS.model_copy(update={"remember_seconds": 0})


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


async def test_what_an_order_was_about_is_remembered_from_its_release_by_everybody_on(database: Database) -> None:
    order = requested()
    await hear(database, order, AgentRefused(order_id=order.order_id, reason="no_agent"))
    await hear(database, AgentReleased(order_id=order.order_id), PacketsReleased(order_id=order.order_id))
    long_ago = "UPDATE saga SET decided_at = decided_at - interval '1 year'"
    await execute(database, f"SET LOCAL session_replication_role = replica; {long_ago}")
    await in_transaction(database, deadlines.Forgetting(SETTINGS))
    assert (await published(database, order))["lines"] is not None


async def test_an_order_that_somebody_has_locked_is_not_waited_for(database: Database) -> None:
    locked, free = requested(), requested()
    for order in (locked, free):
        await hear(database, *happy_story(order))
    async with database.transaction(locking("saga", {locked.order_id})), asyncio.timeout(PATIENCE_SECONDS):
        await in_transaction(database, deadlines.Forgetting(AT_ONCE))
    assert [(await published(database, order))["lines"] is None for order in (locked, free)] == [False, True]


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
