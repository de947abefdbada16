"""The steps an order can take; `saga` decides when it takes which."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from messages.contracts.order import DEADLINE_PASSED, OrderRequested
from messages.transport.incoming import Incoming
from order_saga import outgoing
from order_saga.content import canonical, fingerprint
from order_saga.state import Decision, Phase, Policy, Saga, Standing

UNANSWERED = "unanswered"
"""An alarm: a participant stays silent."""
UNKNOWN_PARTICIPANT = "unknown_participant"
"""An alarm: somebody asks about an order who is no participant of it."""
MAX_EXPONENT = 30
"""Caps the backoff's exponent: 2.0 ** repeats overflows at 1,024."""


def accept(order: OrderRequested, incoming: Incoming, now: datetime, policy: Policy) -> Decision:
    """Ask all participants to reserve; close the order at once if its deadline has passed already."""
    content = canonical(order)
    latest = now + policy.budget
    deadline = min(order.deadline or latest, latest)
    if deadline <= now:
        saga = close_unasked(order.order_id, DEADLINE_PASSED, incoming, now)
        saga = saga._replace(request=content, fingerprint=fingerprint(content))
        return Decision(saga, (outgoing.outcome(saga, policy),), "closed: deadline_passed")
    saga = Saga(
        order_id=order.order_id,
        phase=Phase.RESERVING,
        standing=dict.fromkeys(policy.participants, Standing.ASKED),
        granted={},
        participant=None,
        reason=None,
        deadline=deadline,
        asked_at=now,
        due_at=min(deadline, now + policy.repeat_base),
        repeats=0,
        accepted_at=now,
        fingerprint=fingerprint(content),
        traceparent=incoming.traceparent,
        request=content,
    )
    return Decision(saga, outgoing.reserve(saga, saga.standing, order, policy), "reserving")


def close_unasked(order_id: UUID, reason: str, incoming: Incoming, now: datetime) -> Saga:
    """An order that is not placed, and for which no participant was asked for anything."""
    return Saga(
        order_id=order_id,
        phase=Phase.CLOSED,
        standing={},
        granted={},
        participant=None,
        reason=reason,
        deadline=now,
        asked_at=now,
        due_at=now,
        repeats=0,
        accepted_at=now,
        decided_at=now,
        cleaned_at=now,
        traceparent=incoming.traceparent,
    )


def reserved(saga: Saga, name: str, now: datetime, policy: Policy) -> Decision:
    """A participant has reserved; once all have, ask them to assign."""
    standing = {**saga.standing, name: Standing.RESERVED}
    if not _all(standing, Standing.RESERVED):
        return _await(saga._replace(standing=standing))
    # The due time stays, unless repeating Reserve has put it off: changing an indexed column in every order would cost
    # more than looking at a few too early.
    due_at = min(saga.due_at, now + policy.repeat_base)
    saga = saga._replace(phase=Phase.ASSIGNING, standing=standing, asked_at=now, due_at=due_at, repeats=0)
    return Decision(saga, outgoing.assign(saga, saga.standing, policy), "reserving -> assigning")


def assigned(saga: Saga, name: str, unit_ids: tuple[str, ...], now: datetime, policy: Policy) -> Decision:
    """A participant has assigned; once all have, the order is placed."""
    standing = {**saga.standing, name: Standing.ASSIGNED}
    granted = {**saga.granted, name: unit_ids}
    if not _all(standing, Standing.ASSIGNED):
        return _await(saga._replace(standing=standing, granted=granted))
    saga = saga._replace(phase=Phase.PLACED, standing=standing, granted=granted, decided_at=now)
    return Decision(saga, outgoing.placed(saga, policy), "assigning -> placed")


def give_up(saga: Saga, participant: str | None, reason: str, now: datetime, policy: Policy) -> Decision:
    """Tell the customer at once, and release all, also who refused or was silent: a Reserve may be under way."""
    standing = saga.standing if participant is None else {**saga.standing, participant: Standing.REFUSED}
    not_placed = saga._replace(
        phase=Phase.RELEASING,
        standing=standing,
        granted={},
        participant=participant,
        reason=reason,
        asked_at=now,
        due_at=now + policy.repeat_base,
        repeats=0,
        decided_at=now,
    )
    messages = (outgoing.outcome(not_placed, policy), *outgoing.release(not_placed, not_placed.standing, policy))
    return Decision(not_placed, messages, f"{saga.phase} -> releasing: {reason}")


def released(saga: Saga, name: str, now: datetime) -> Decision:
    """A participant has released; once all have, the order is closed."""
    standing = {**saga.standing, name: Standing.RELEASED}
    if not _all(standing, Standing.RELEASED):
        return _await(saga._replace(standing=standing))
    closed = saga._replace(phase=Phase.CLOSED, standing=standing, cleaned_at=now)
    return Decision(closed, note="releasing -> closed")


def release_again(saga: Saga, name: str, policy: Policy, note: str) -> Decision:
    """Send Release to one participant; an alarm if there is none of that name."""
    if name not in policy.participants:
        return Decision(saga, note=note, alarms=((UNKNOWN_PARTICIPANT, name),))
    return Decision(saga, outgoing.release(saga, (name,), policy), note)


def ask_again(saga: Saga, now: datetime, jitter: float, policy: Policy) -> Decision:
    """Repeat the phase's commands to silent participants, with backoff; after many repeats with an alarm."""
    repeats = saga.repeats + 1
    wait = jitter * _longest_wait(saga.phase, repeats, policy)
    names = silent(saga.phase, saga.standing)
    alarms = ((UNANSWERED, f"{saga.phase}: {', '.join(names)} silent after {repeats} repeats"),)
    return Decision(
        saga._replace(repeats=repeats, due_at=not_after_deadline(saga, now + wait)),
        outgoing.commands(saga, names, policy),
        f"{saga.phase}: asked {', '.join(names)} again",
        alarms if repeats >= policy.alarm_after_repeats else (),
    )


def silent(phase: Phase, standings: Mapping[str, Standing]) -> list[str]:
    """The participants that have not yet answered the command of this phase."""
    match phase:
        case Phase.RELEASING:
            return [name for name, standing in standings.items() if standing is not Standing.RELEASED]
        case Phase.ASSIGNING:
            return [name for name, standing in standings.items() if standing is not Standing.ASSIGNED]
        case _:
            return [name for name, standing in standings.items() if standing is Standing.ASKED]


def _all(standings: Mapping[str, Standing], wanted: Standing) -> bool:
    return set(standings.values()) == {wanted}


def _await(saga: Saga) -> Decision:
    return Decision(saga, note=f"{saga.phase}: awaiting {', '.join(silent(saga.phase, saga.standing))}")


def _longest_wait(phase: Phase, repeats: int, policy: Policy) -> timedelta:
    cap = policy.release_cap if phase is Phase.RELEASING else policy.repeat_cap
    return min(cap, policy.repeat_base * 2.0 ** min(repeats, MAX_EXPONENT))


def not_after_deadline(saga: Saga, at: datetime) -> datetime:
    return min(at, saga.deadline) if saga.undecided else at
