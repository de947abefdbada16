"""Scheduled work on orders: repeats unanswered commands, and decides orders whose deadline has passed."""

import random
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

from asyncpg import Record

from messages.transport.batches.isolating import isolate
from messages.transport.database.transactions import Transaction
from messages.transport.database.writing import write
from messages.transport.handled import Alarm, Handled, Outgoing
from messages.transport.service import Job
from order_saga import queries, saga, timeline
from order_saga.counting import first_outcomes
from order_saga.queries import Due
from order_saga.rows import saga_of
from order_saga.settings import Settings
from order_saga.state import Decision, Policy, Saga

BATCH = 500
DUE_SAGA_FAILED = "due_saga_failed"


def jobs(settings: Settings) -> list[Job]:
    """Decisions are never delayed; repeated commands wait until they cannot add to an overload."""
    policy = settings.policy
    return [
        Job(
            "decide_overdue",
            settings.due_interval_seconds,
            partial(look_at_due, Due.OVERDUE, policy),
            due=queries.is_any_due(Due.OVERDUE),
            despite_backpressure=True,  # under backpressure no order is accepted, so few are undecided
        ),
        Job(
            "ask_again",
            settings.repeat_interval_seconds,
            partial(look_at_due, Due.UNANSWERED, policy),
            due=queries.is_any_due(Due.UNANSWERED),
            only_when_quiet=True,
        ),
        Job(
            "release_again",
            settings.repeat_interval_seconds,
            partial(look_at_unclean, policy),
            due=queries.is_any_due(Due.UNCLEAN),
            only_when_quiet=True,
        ),
        Job("forget_requests", settings.forget_interval_seconds, Forgetting(settings), low_priority=True),
    ]


async def look_at_due(which: Due, policy: Policy, tx: Transaction) -> Handled:
    """Decide on a batch of due sagas, in order of their due time."""
    due = await queries.lock_due(tx, which, BATCH)
    if not due:
        return Handled()
    put_off = partial(queries.postpone, tx, policy.repeat_cap)
    handled = await isolate(tx, due, partial(_settle, policy, tx), put_off, DUE_SAGA_FAILED)
    handled.more = handled.more and len(due) == BATCH
    return handled


async def look_at_unclean(policy: Policy, tx: Transaction) -> Handled:
    """Repeat Release for one batch of orders, and no more at once.

    Orders that are not placed while a participant is down stay unreleased. Without this limit the repeats would grow
    with their number, and fill its queue.
    """
    handled = await look_at_due(Due.UNCLEAN, policy, tx)
    handled.more = False
    return handled


async def _settle(policy: Policy, tx: Transaction, due: Sequence[Record]) -> Handled:
    sagas = [saga_of(row, row["request"]) for row in due]
    decisions = [saga.fall_due(each, due[0]["now"], random.random(), policy) for each in sagas]  # noqa: S311  jitter
    changes = [(before, decision.saga) for before, decision in zip(sagas, decisions, strict=True) if decision.saga]
    await write(tx, queries.write(changes))
    handled = Handled(outcomes=first_outcomes(changes))
    for before, decision in zip(sagas, decisions, strict=True):
        _record(before, decision, handled)
    return handled


def _record(before: Saga, decision: Decision, handled: Handled) -> None:
    trace = before.traceparent
    handled.outgoing += [Outgoing(message, to, traceparent=trace) for message, to in decision.outgoing]
    handled.alarms += [Alarm(name, before.order_id, detail, traceparent=trace) for name, detail in decision.alarms]
    if decision.outgoing:
        handled.timeline += timeline.entries(before.order_id, "Due", decision)


class Forgetting:
    """Deletes the content of orders, some time after they are done; their ids and outcomes stay.

    Each run goes on where the last one stopped, and at the end from the start: a row that cannot be written cannot be
    put off either, and a batch full of them must not come again and again.
    """

    def __init__(self, settings: Settings) -> None:
        self._age = timedelta(seconds=settings.remember_seconds)
        self._last: Record | None = None

    async def __call__(self, tx: Transaction) -> Handled:
        done = await queries.lock_done(tx, self._age, self._last, BATCH)
        if not done:
            self._last = None
            return Handled()
        handled = await isolate(tx, done, partial(_forget, tx), _pass_over, DUE_SAGA_FAILED)
        handled.more = len(done) == BATCH
        self._last = done[-1] if handled.more else None
        return handled


async def _forget(tx: Transaction, done: Sequence[Record]) -> Handled:
    await queries.forget_requests(tx, [row["order_id"] for row in done])
    return Handled()


async def _pass_over(_order_id: UUID) -> None:
    """Nothing to write: the next batch starts behind it."""
