"""Places an order, or undoes every trace of trying. Pure decisions: no I/O, no clock, no randomness.

    reserving ──all reserved──▶ assigning ──all assigned──▶ placed
        └───────────┬───────────────┘
                    │ refused, cancelled, deadline passed
                    ▼
                releasing ──all released──▶ closed

An order is decided once. `placed` is the pivot: until all participants have answered Assigned, it can be undone.
"""

from datetime import datetime

from messages.contracts.order import (
    CANCELLED,
    DEADLINE_PASSED,
    UNKNOWN_ORDER,
    CancelOrder,
    OrderRequested,
)
from messages.contracts.participation import (
    Answer,
    Assigned,
    OutcomeRequested,
    Refused,
    Released,
    Reserved,
)
from messages.transport.incoming import Incoming
from order_saga import outgoing, steps
from order_saga.content import canonical, fingerprint
from order_saga.state import Decision, Phase, Policy, Saga, Standing

PLACED_BUT_NOT_HELD = "placed_but_not_held"
"""An alarm: a participant has refused or released what an order that is placed had been granted."""
UNASKED_ANSWER = "unasked_answer"
"""An alarm: an answer that no reordering explains."""


def start(incoming: Incoming, now: datetime, policy: Policy) -> Decision:
    """Decide on the first message about an order, whatever it is."""
    match incoming.message:
        case OrderRequested() as order:
            return steps.accept(order, incoming, now, policy)
        case CancelOrder() as cancel:
            saga = steps.close_unasked(cancel.order_id, CANCELLED, incoming, now)
            return Decision(saga, (outgoing.outcome(saga, policy),), "closed: cancelled before it was requested")
        case (OutcomeRequested() | Reserved() | Assigned()) as message:
            # Commit first that the order is not placed, so that nothing can revive it: presumed abort.
            saga = steps.close_unasked(message.order_id, UNKNOWN_ORDER, incoming, now)
            return steps.release_again(saga, _sender(message), policy, "closed: an unknown order")
    return Decision(None)


def advance(saga: Saga, incoming: Incoming, now: datetime, policy: Policy) -> Decision:
    """Decide on a later message. What is duplicated, out of order or too late changes nothing."""
    match incoming.message:
        case Answer() as answer:
            return _answered(saga, answer, now, policy)
        case OrderRequested() as order:
            return _requested_again(saga, order, incoming, policy)
        case CancelOrder():
            return _cancelled(saga, incoming, now, policy)
        case OutcomeRequested() as question:
            return _asked_about(saga, question, policy)
    raise TypeError(f"{type(incoming.message).__name__} is not for the order saga")


def fall_due(saga: Saga, now: datetime, jitter: float, policy: Policy) -> Decision:
    """Decide on an order that is due: give it up if too late, or repeat commands. `jitter` is a number in 0..1."""
    if saga.phase in (Phase.PLACED, Phase.CLOSED):
        return Decision(saga)
    if saga.undecided and now >= saga.deadline:
        return steps.give_up(saga, None, DEADLINE_PASSED, now, policy)
    if now < saga.asked_at + policy.repeat_base:
        return Decision(saga._replace(due_at=steps.not_after_deadline(saga, saga.asked_at + policy.repeat_base)))
    return steps.ask_again(saga, now, jitter, policy)


def _answered(saga: Saga, answer: Answer, now: datetime, policy: Policy) -> Decision:
    if saga.undecided:
        return _answered_in_time(saga, answer, now, policy)
    if saga.phase is not Phase.PLACED:
        return _answered_though_not_placed(saga, answer, now, policy)
    if isinstance(answer, Refused):
        return Decision(saga, alarms=((PLACED_BUT_NOT_HELD, f"{type(answer).__name__}: {answer.reason}"),))
    if isinstance(answer, Released):
        return Decision(saga, alarms=((PLACED_BUT_NOT_HELD, type(answer).__name__),))
    return Decision(saga)


def _answered_in_time(saga: Saga, answer: Answer, now: datetime, policy: Policy) -> Decision:
    name = answer.PARTICIPANT
    match answer, saga.standing.get(name):
        case _, None:
            return _unasked(saga, answer)
        case Refused(reason=reason), _:
            return steps.give_up(saga, name, reason, now, policy)
        case _ if now >= saga.deadline:
            return steps.give_up(saga, None, DEADLINE_PASSED, now, policy)
        case Reserved(), Standing.ASKED:
            return steps.reserved(saga, name, now, policy)
        case Assigned(), Standing.RESERVED if saga.phase is Phase.ASSIGNING:
            return steps.assigned(saga, name, answer.unit_ids, now, policy)
    return Decision(saga) if _was_asked_for(answer, saga) else _unasked(saga, answer)


def _answered_though_not_placed(saga: Saga, answer: Answer, now: datetime, policy: Policy) -> Decision:
    name = answer.PARTICIPANT
    match answer, saga.standing.get(name):
        case Released(), None | Standing.RELEASED:
            return Decision(saga)
        case Released(), _:
            return steps.released(saga, name, now)
        case ((Reserved() | Assigned()), _):
            return steps.release_again(saga, name, policy, "not placed: released again")
    return Decision(saga)


def _requested_again(saga: Saga, order: OrderRequested, incoming: Incoming, policy: Policy) -> Decision:
    if saga.fingerprint not in (None, fingerprint(canonical(order))):
        message = outgoing.rejection(
            saga.order_id, incoming.message_id, "conflict", "an order of this id has other content"
        )
        return Decision(saga, (message,), "rejected: conflict")
    if saga.undecided:
        return Decision(saga)
    return Decision(saga, (outgoing.outcome(saga, policy),), "outcome published again")


def _cancelled(saga: Saga, incoming: Incoming, now: datetime, policy: Policy) -> Decision:
    if saga.undecided:
        return steps.give_up(saga, None, CANCELLED, now, policy)
    if saga.phase is Phase.PLACED:
        message = outgoing.rejection(saga.order_id, incoming.message_id, "too_late", "the order is placed")
        return Decision(saga, (message,), "rejected: too_late")
    return Decision(saga, (outgoing.outcome(saga, policy),), "outcome published again")


def _asked_about(saga: Saga, question: OutcomeRequested, policy: Policy) -> Decision:
    if saga.undecided:
        return Decision(saga)
    if saga.phase is not Phase.PLACED:
        return steps.release_again(saga, question.participant, policy, "not placed: released again")
    if question.participant not in saga.standing:
        return Decision(saga, alarms=((steps.UNKNOWN_PARTICIPANT, question.participant),))
    return Decision(saga, outgoing.confirm(saga, (question.participant,), policy), "confirmed again")


def _sender(message: OutcomeRequested | Reserved | Assigned) -> str:
    return message.participant if isinstance(message, OutcomeRequested) else message.PARTICIPANT


def _was_asked_for(answer: Answer, saga: Saga) -> bool:
    """Whether this may be a duplicate: Assign is asked only while assigning, Release never while undecided."""
    return isinstance(answer, Reserved) or (isinstance(answer, Assigned) and saga.phase is Phase.ASSIGNING)


def _unasked(saga: Saga, answer: Answer) -> Decision:
    """An answer that no reordering explains: data was lost, or the sender is forged."""
    return Decision(saga, alarms=((UNASKED_ANSWER, f"{type(answer).__name__} while {saga.phase}"),))
