"""Scheduled work on reservations: expire leases, ask for outcomes, prune what is over."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from messages.participant import queries
from messages.participant.due import fall_due
from messages.participant.handling import writes
from messages.participant.participant import Participant
from messages.participant.queries import Change
from messages.participant.reservation import Decision, Reservation, State
from messages.participant.settings import ParticipantSettings
from messages.transport.addresses import ORCHESTRATOR
from messages.transport.faults import is_infrastructure
from messages.transport.service import Alarm, Handled, Job, Note, Said, Transaction
from messages.transport.transactions import savepoint
from messages.transport.writing import write

SWEEP_BATCH = 200
PRUNE_BATCH = 500
POSTPONE_SECONDS = 300.0
INQUIRIES_BEFORE_ALARM = 3

CANNOT_SWEEP = "cannot_sweep"
OUTCOME_UNKNOWN = "outcome_unknown"

Due = tuple[datetime, Reservation]


def jobs(participant: Participant, settings: ParticipantSettings) -> list[Job]:
    return [
        Job("sweep", settings.sweep_interval_seconds, partial(sweep, participant), due=queries.IS_ANY_DUE),
        Job("prune", settings.prune_interval_seconds, partial(prune, participant), in_no_hurry=True),
    ]


async def sweep(participant: Participant, tx: Transaction) -> Handled:
    """Expire what is reserved and over; ask about what has been assigned for long. Tells the orchestrator."""
    due = await queries.take_due(tx, SWEEP_BATCH)
    if not due:
        return Handled()
    handled = await _attempt(participant, tx, due)
    if handled is None:
        handled = await _one_by_one(participant, tx, due)
    handled.more = len(due) == SWEEP_BATCH and bool(handled.story)
    return handled


async def prune(participant: Participant, tx: Transaction) -> Handled:
    """Forget reservations that are over for long."""
    pruned = await queries.prune(tx, PRUNE_BATCH)
    used = [unit_id for state, unit_ids in pruned if state is State.FULFILLED for unit_id in unit_ids]
    if used:
        await participant.units.forget(tx, used)
    return Handled(more=len(pruned) == PRUNE_BATCH)


async def _attempt(participant: Participant, tx: Transaction, due: Sequence[Due]) -> Handled | None:
    """All of them, or None if one of them is not to be mended by trying again."""
    try:
        async with savepoint(tx):
            return await _settle(participant, tx, due)
    except Exception as error:
        if is_infrastructure(error):
            raise
        return None


async def _settle(participant: Participant, tx: Transaction, due: Sequence[Due]) -> Handled:
    handled, changes = Handled(), []
    for clock, reservation in due:
        decision = fall_due(reservation, clock, participant.terms)
        changes.append(Change(reservation, decision.reservation))
        _report(participant, decision, handled)
    await write(tx, writes(participant, changes))
    return handled


async def _one_by_one(participant: Participant, tx: Transaction, due: Sequence[Due]) -> Handled:
    """Leave out the bad ones, and move them out of the way of those that come after them."""
    whole = Handled()
    for each in due:
        handled = await _attempt(participant, tx, [each])
        if handled is None:
            handled = await _leave_out(tx, each[1])
        whole.said += handled.said
        whole.story += handled.story
        whole.alarms += handled.alarms
    return whole


async def _leave_out(tx: Transaction, bad: Reservation) -> Handled:
    try:
        async with savepoint(tx):
            await queries.postpone(tx, bad.order_id, POSTPONE_SECONDS)
        detail = f"left out for {POSTPONE_SECONDS:.0f} s"
    except Exception as error:
        if is_infrastructure(error):
            raise
        detail = str(error)
    return Handled(alarms=[Alarm(CANNOT_SWEEP, bad.order_id, detail, traceparent=bad.traceparent)])


def _report(participant: Participant, decision: Decision, handled: Handled) -> None:
    reservation = decision.reservation
    if decision.say is None:
        return
    message = participant.say(reservation.order_id, decision)
    handled.said.append(Said(message, ORCHESTRATOR, traceparent=reservation.traceparent))
    event = "expired" if reservation.state is State.EXPIRED else "unconfirmed"
    handled.story.append(Note(reservation.order_id, event, decision.told))
    if reservation.inquiries > INQUIRIES_BEFORE_ALARM:
        detail = f"{participant.name} has asked {reservation.inquiries} times"
        alarm = Alarm(OUTCOME_UNKNOWN, reservation.order_id, detail, traceparent=reservation.traceparent)
        handled.alarms.append(alarm)
