"""Scheduled work on reservations: expire leases, ask for outcomes, prune what is over."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from itertools import accumulate

from asyncpg import Record

from messages.participant import queries
from messages.participant.due import fall_due
from messages.participant.handling import BATCH_UNITS, writes
from messages.participant.participant import ORCHESTRATOR, Participant
from messages.participant.reservation import Decision, State
from messages.participant.rows import reservation_of
from messages.participant.settings import ParticipantSettings
from messages.transport.batches.isolating import isolate
from messages.transport.database.transactions import Transaction
from messages.transport.database.writing import write
from messages.transport.handled import Alarm, Handled, Outgoing, TimelineEntry
from messages.transport.service import Job

SWEEP_BATCH = 200
PRUNE_BATCH = 500
TRY_AGAIN_AFTER = timedelta(minutes=5)
"""Of a reservation that cannot be handled."""
INQUIRIES_BEFORE_ALARM = 3

CANNOT_SWEEP = "cannot_sweep"
OUTCOME_UNKNOWN = "outcome_unknown"


def jobs(participant: Participant, settings: ParticipantSettings) -> list[Job]:
    return [
        Job("sweep", settings.sweep_interval_seconds, partial(sweep, participant), due=queries.IS_ANY_DUE),
        Job("prune", settings.prune_interval_seconds, partial(prune, participant), low_priority=True),
    ]


async def sweep(participant: Participant, tx: Transaction) -> Handled:
    """Expire leases that are over, ask for outcomes of what has been assigned for long; tell the orchestrator."""
    found = await queries.lock_due(tx, SWEEP_BATCH)
    if not found:
        return Handled()
    due = _few(found)
    put_off = partial(queries.postpone, tx, TRY_AGAIN_AFTER)
    handled = await isolate(tx, due, partial(_settle, participant, tx), put_off, CANNOT_SWEEP)
    handled.more = handled.more and (len(found) == SWEEP_BATCH or len(due) < len(found))
    return handled


def _few(found: Sequence[Record]) -> Sequence[Record]:
    """The first of them: at least one, and together about `BATCH_UNITS` units at most."""
    units = accumulate(len(row["unit_ids"]) for row in found)
    return found[: 1 + sum(1 for number in units if number < BATCH_UNITS)]


async def _settle(participant: Participant, tx: Transaction, due: Sequence[Record]) -> Handled:
    handled, changes = Handled(), []
    for row in due:
        reservation = reservation_of(row)
        decision = fall_due(reservation, row[0], participant.timing)
        changes.append((reservation, decision.reservation))
        _report(participant, decision, handled)
    await write(tx, writes(participant, changes))
    return handled


def _report(participant: Participant, decision: Decision, handled: Handled) -> None:
    reservation = decision.reservation
    if decision.reply is None:
        return
    message = participant.message_for(reservation.order_id, decision)
    handled.outgoing.append(Outgoing(message, ORCHESTRATOR, traceparent=reservation.traceparent))
    event = "expired" if reservation.state is State.EXPIRED else "unconfirmed"
    handled.timeline.append(TimelineEntry(reservation.order_id, event, decision.note))
    if reservation.inquiries > INQUIRIES_BEFORE_ALARM:
        detail = f"{participant.name} has asked for the outcome {reservation.inquiries} times"
        alarm = Alarm(OUTCOME_UNKNOWN, reservation.order_id, detail, traceparent=reservation.traceparent)
        handled.alarms.append(alarm)


async def prune(participant: Participant, tx: Transaction) -> Handled:
    """Delete reservations that may be forgotten."""
    pruned = await queries.prune(tx, PRUNE_BATCH, BATCH_UNITS)
    used = [unit_id for row in pruned if row["state"] == State.FULFILLED for unit_id in row["unit_ids"]]
    if used:
        await participant.units.forget(tx, used)
    units = sum(len(row["unit_ids"]) for row in pruned)
    return Handled(more=len(pruned) == PRUNE_BATCH or units >= BATCH_UNITS)
