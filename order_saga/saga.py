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
from order_saga import steps, words
from order_saga.content import canonical, fingerprint
from order_saga.state import Decision, Heard, Phase, Saga, Standing, Terms


def start(heard: Heard, now: datetime, terms: Terms) -> Decision:
    """Decide on the first message about an order, whatever it is."""
    match heard.message:
        case OrderRequested() as order:
            return steps.accept(order, heard, now, terms)
        case CancelOrder() as cancel:
            saga = steps.close_unasked(cancel.order_id, CANCELLED, heard, now)
            return Decision(saga, (words.outcome(saga, terms),), "closed: cancelled before it was requested")
        case (OutcomeRequested() | Reserved() | Assigned()) as word:
            # Commit first that the order is not placed, so that nothing can revive it: presumed abort.
            saga = steps.close_unasked(word.order_id, UNKNOWN_ORDER, heard, now)
            return steps.release_again(saga, _speaker(word), terms, "closed: an unknown order")
    return Decision(None)


def advance(saga: Saga, heard: Heard, now: datetime, terms: Terms) -> Decision:
    """Decide on a later message. What is duplicated, out of order or too late changes nothing."""
    match heard.message:
        case Answer() as answer:
            return _answered(saga, answer, now, terms)
        case OrderRequested() as order:
            return _requested_again(saga, order, heard, terms)
        case CancelOrder():
            return _cancelled(saga, heard, now, terms)
        case OutcomeRequested() as question:
            return _asked_about(saga, question, terms)
    raise TypeError(f"{type(heard.message).__name__} is not for the order saga")


def fall_due(saga: Saga, now: datetime, jitter: float, terms: Terms) -> Decision:
    """Decide on an order that is due: give it up if too late, or repeat commands. `jitter` is a number in 0..1."""
    if saga.phase in (Phase.PLACED, Phase.CLOSED):
        return Decision(saga)
    if saga.undecided and now >= saga.deadline:
        return steps.give_up(saga, None, DEADLINE_PASSED, now, terms)
    if now < saga.asked_at + terms.repeat_base:
        return Decision(saga._replace(due_at=steps.not_after_deadline(saga, saga.asked_at + terms.repeat_base)))
    return steps.ask_again(saga, now, jitter, terms)


def _answered(saga: Saga, answer: Answer, now: datetime, terms: Terms) -> Decision:
    if saga.undecided:
        return _answered_in_time(saga, answer, now, terms)
    if saga.phase is not Phase.PLACED:
        return _answered_in_vain(saga, answer, now, terms)
    if isinstance(answer, (Refused, Released)):
        return Decision(saga, alarms=(("placed_but_not_held", type(answer).__name__),))
    return Decision(saga)


def _answered_in_time(saga: Saga, answer: Answer, now: datetime, terms: Terms) -> Decision:
    name = answer.PARTICIPANT
    match answer, saga.standing.get(name):
        case _, None:
            return _unasked(saga, answer)
        case Refused(reason=reason), _:
            return steps.give_up(saga, name, reason, now, terms)
        case _ if now >= saga.deadline:
            return steps.give_up(saga, None, DEADLINE_PASSED, now, terms)
        case Reserved(), Standing.ASKED:
            return steps.reserved(saga, name, now, terms)
        case Assigned(), Standing.RESERVED if saga.phase is Phase.ASSIGNING:
            return steps.assigned(saga, name, answer.unit_ids, now, terms)
    return Decision(saga) if _was_asked_for(answer, saga) else _unasked(saga, answer)


def _answered_in_vain(saga: Saga, answer: Answer, now: datetime, terms: Terms) -> Decision:
    name = answer.PARTICIPANT
    match answer, saga.standing.get(name):
        case Released(), None | Standing.RELEASED:
            return Decision(saga)
        case Released(), _:
            return steps.released(saga, name, now)
        case ((Reserved() | Assigned()), _):
            return steps.release_again(saga, name, terms, "not placed: released again")
    return Decision(saga)


def _requested_again(saga: Saga, order: OrderRequested, heard: Heard, terms: Terms) -> Decision:
    if saga.fingerprint not in (None, fingerprint(canonical(order))):
        word = words.rejection(saga.order_id, heard.message_id, "conflict", "an order of this id has other content")
        return Decision(saga, (word,), "rejected: conflict")
    if saga.undecided:
        return Decision(saga)
    return Decision(saga, (words.outcome(saga, terms),), "outcome told again")


def _cancelled(saga: Saga, heard: Heard, now: datetime, terms: Terms) -> Decision:
    if saga.undecided:
        return steps.give_up(saga, None, CANCELLED, now, terms)
    if saga.phase is Phase.PLACED:
        word = words.rejection(saga.order_id, heard.message_id, "too_late", "the order is placed")
        return Decision(saga, (word,), "rejected: too_late")
    return Decision(saga, (words.outcome(saga, terms),), "outcome told again")


def _asked_about(saga: Saga, question: OutcomeRequested, terms: Terms) -> Decision:
    if saga.undecided:
        return Decision(saga)
    if saga.phase is not Phase.PLACED:
        return steps.release_again(saga, question.participant, terms, "not placed: released again")
    if question.participant not in saga.standing:
        return Decision(saga, alarms=(("unknown_participant", question.participant),))
    return Decision(saga, words.confirm(saga, (question.participant,), terms), "confirmed again")


def _speaker(word: OutcomeRequested | Reserved | Assigned) -> str:
    return word.participant if isinstance(word, OutcomeRequested) else word.PARTICIPANT


def _was_asked_for(answer: Answer, saga: Saga) -> bool:
    """Whether this may be a duplicate: Assign is asked only while assigning, Release never while undecided."""
    return isinstance(answer, Reserved) or (isinstance(answer, Assigned) and saga.phase is Phase.ASSIGNING)


def _unasked(saga: Saga, answer: Answer) -> Decision:
    """An answer that no reordering explains: data was lost, or the sender is forged."""
    return Decision(saga, alarms=(("unasked_answer", f"{type(answer).__name__} while {saga.phase}"),))
