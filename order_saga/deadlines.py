"""Orders that nobody speaks about any more: asked about again, and decided when their deadline has passed."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from messages.transport.faults import is_infrastructure
from messages.transport.service import Alarm, Handled, Job, Said, Transaction
from messages.transport.transactions import savepoint
from messages.transport.writing import write
from order_saga import queries, saga, story, words
from order_saga.queries import Due
from order_saga.settings import Settings
from order_saga.state import Decision, Saga, Terms

BATCH = 500


def jobs(settings: Settings) -> list[Job]:
    """Deciding waits for nothing; what is said again waits until it cannot add to an overload."""
    seconds = settings.repeat_interval_seconds
    return [
        _job("decide_overdue", settings.due_interval_seconds, Due.OVERDUE, settings.terms),
        replace(_job("ask_again", seconds, Due.UNANSWERED, settings.terms), only_when_quiet=True),
        replace(_job("release_again", seconds, Due.UNCLEAN, settings.terms), only_when_quiet=True),
        Job("forget_requests", settings.forget_interval_seconds, partial(forget_requests, settings), in_no_hurry=True),
    ]


def _job(name: str, interval_seconds: float, which: Due, terms: Terms) -> Job:
    return Job(name, interval_seconds, partial(look_at_due, which, terms), due=queries.is_any_due(which))


async def look_at_due(which: Due, terms: Terms, tx: Transaction) -> Handled:
    """Decide on a batch of due sagas, in order of their due time."""
    now, sagas = await queries.lock_due(which, tx, BATCH)
    handled = Handled(more=len(sagas) == BATCH)
    if now is not None:
        await _decide(tx, sagas, now, terms, handled)
    return handled


async def forget_requests(settings: Settings, tx: Transaction) -> Handled:
    """Forget what orders were about, some time after they are done; their ids and outcomes stay."""
    age = timedelta(seconds=settings.remember_seconds)
    return Handled(more=await queries.forget_requests(tx, age, BATCH) == BATCH)


async def _decide(tx: Transaction, sagas: Sequence[Saga], now: datetime, terms: Terms, handled: Handled) -> None:
    """Halve what fails until the culprit is alone: one bad row must not keep the others waiting."""
    try:
        async with savepoint(tx):
            decisions = [saga.fall_due(each, now, random.random(), terms) for each in sagas]  # noqa: S311  jitter
            await write(tx, queries.write(_changes(sagas, decisions)))
    except Exception as error:
        if is_infrastructure(error):
            raise
        if len(sagas) == 1:
            await _put_off(tx, sagas[0], error, terms, handled)
            return
        middle = len(sagas) // 2
        await _decide(tx, sagas[:middle], now, terms, handled)
        await _decide(tx, sagas[middle:], now, terms, handled)
        return
    handled.outcomes += words.first_outcomes(_changes(sagas, decisions))
    for before, decision in zip(sagas, decisions, strict=True):
        _record(before, decision, handled)


def _changes(sagas: Sequence[Saga], decisions: Sequence[Decision]) -> Iterator[tuple[Saga, Saga]]:
    for before, decision in zip(sagas, decisions, strict=True):
        if decision.saga is not None:
            yield before, decision.saga


def _record(before: Saga, decision: Decision, handled: Handled) -> None:
    handled.said.extend(Said(message, to, traceparent=before.traceparent) for message, to in decision.said)
    trace = before.traceparent
    handled.alarms.extend(Alarm(name, before.order_id, told, traceparent=trace) for name, told in decision.alarms)
    if decision.said:
        handled.story.extend(story.notes(before.order_id, "Due", decision))


async def _put_off(tx: Transaction, culprit: Saga, error: Exception, terms: Terms, handled: Handled) -> None:
    await queries.postpone(tx, culprit.order_id, terms.repeat_cap)
    detail = f"{type(error).__name__}: {error}"
    handled.alarms.append(Alarm("due_saga_failed", culprit.order_id, detail, traceparent=culprit.traceparent))
