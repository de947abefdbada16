"""Whoever is silent is asked again, ever more rarely, until a person is told."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from messages.contracts.delivery import AssignAgent, ReserveAgent
from messages.contracts.store import ReservePackets
from order_saga.saga import fall_due, start
from order_saga.settings import Settings
from order_saga.state import Decision
from tests.unit.order_saga.orders import (
    AGENT_REFUSED,
    AGENT_RELEASED,
    AGENT_RESERVED,
    DEADLINE,
    DELIVERY_INTAKE,
    DELIVERY_SETTLE,
    HAPPY,
    NOW,
    ORDER,
    PACKETS_RESERVED,
    RELEASES,
    TERMS,
    after,
    arrived,
    begun,
    requested,
    tell,
)


def test_an_order_is_first_looked_at_after_the_base_of_the_backoff_but_never_after_its_deadline() -> None:
    assert begun().due_at == NOW + TERMS.repeat_base
    hurried = begun(requested(deadline=NOW + timedelta(milliseconds=10)))
    assert hurried.due_at == hurried.deadline


def test_only_who_is_silent_is_asked_again_and_for_what_the_phase_wants() -> None:
    later = NOW + timedelta(seconds=2)
    reserving, assigning, releasing = after(PACKETS_RESERVED), after(*HAPPY[:3]), after(AGENT_REFUSED, AGENT_RELEASED)
    (reserve, to), *_ = fall_due(reserving, later, 0.5, TERMS).outgoing
    assert isinstance(reserve, ReserveAgent)
    assert to == DELIVERY_INTAKE
    assert fall_due(assigning, later, 0.5, TERMS).outgoing == (
        (AssignAgent(order_id=ORDER, not_after=DEADLINE), DELIVERY_SETTLE),
    )
    assert fall_due(releasing, later, 0.5, TERMS).outgoing == (RELEASES[0],)


def test_what_is_asked_again_is_what_was_asked_first() -> None:
    first = start(arrived(requested()), NOW, TERMS)
    assert first.saga is not None
    again = fall_due(first.saga, NOW + timedelta(seconds=2), 0.5, TERMS)
    repeated = [(set(m.wants), m.store_id) for m, _ in again.outgoing if isinstance(m, ReservePackets)]
    assert repeated == [(set(m.wants), m.store_id) for m, _ in first.outgoing if isinstance(m, ReservePackets)]
    assert again.outgoing[1] == first.outgoing[1]


def test_nobody_is_asked_to_reserve_for_an_order_of_which_nothing_is_known() -> None:
    with pytest.raises(ValueError, match="deleted"):
        fall_due(begun()._replace(request=None), NOW + timedelta(seconds=2), 0.5, TERMS)


def test_repeats_back_off_with_full_jitter_up_to_the_cap_and_up_to_the_deadline() -> None:
    """The cap of a Release: nobody waits for it, and whoever was down for long must handle each copy."""
    saga = after(AGENT_REFUSED)
    now = NOW + timedelta(minutes=1)
    waits = []
    for _ in range(40):
        decision = fall_due(saga, now, 1.0, TERMS)
        assert decision.saga is not None
        saga = decision.saga
        waits.append((saga.due_at - now).total_seconds())
        now = saga.due_at
    assert waits[:6] == [2, 4, 8, 16, 32, 60]
    assert set(waits[5:]) == {60}
    jittered = fall_due(after(AGENT_REFUSED), now, 0.25, TERMS).saga
    assert jittered is not None
    assert jittered.due_at - now == timedelta(seconds=0.5)
    late = fall_due(after(PACKETS_RESERVED), DEADLINE - timedelta(milliseconds=1), 1.0, TERMS).saga
    assert late is not None
    assert late.due_at == DEADLINE


def test_a_person_is_told_of_a_silent_participant_after_about_a_minute() -> None:
    policy = Settings(database_url="postgresql://elsewhere/").policy
    saga = after(AGENT_REFUSED)._replace(asked_at=NOW, due_at=NOW + policy.repeat_base)
    alarms: Sequence[tuple[str, str]] = ()
    while not alarms:
        now = saga.due_at
        decision = fall_due(saga, now, 0.5, policy)
        assert decision.saga is not None
        saga, alarms = decision.saga, decision.alarms
    assert timedelta(seconds=30) < now - NOW < timedelta(seconds=120)


def test_what_a_customer_waits_for_is_repeated_more_often_than_a_release() -> None:
    patient = replace(TERMS, budget=timedelta(minutes=10))
    waiting = begun()._replace(deadline=NOW + patient.budget, repeats=20)
    repeated = fall_due(waiting, NOW + timedelta(minutes=1), 1.0, patient).saga
    assert repeated is not None
    assert repeated.due_at == NOW + timedelta(minutes=1) + TERMS.repeat_cap


def test_the_wait_stays_at_the_cap_after_however_many_repeats() -> None:
    later = NOW + timedelta(days=30)
    decision = fall_due(after(AGENT_REFUSED)._replace(repeats=100_000), later, 1.0, TERMS)
    assert decision.saga is not None
    assert decision.saga.due_at == later + TERMS.release_cap


def test_a_release_is_first_repeated_after_the_base_of_the_backoff() -> None:
    then = NOW + timedelta(seconds=5)
    releasing = tell(begun(), AGENT_REFUSED, now=then).saga
    assert releasing is not None
    assert releasing.due_at == then + TERMS.repeat_base


def test_what_was_asked_only_just_now_is_not_asked_again_yet() -> None:
    """The due time still comes from reserving, when the order has gone over to assigning a moment ago."""
    then = NOW + timedelta(milliseconds=900)
    assigning = tell(begun(), PACKETS_RESERVED, AGENT_RESERVED, now=then).saga
    assert assigning is not None
    decision = fall_due(assigning, NOW + timedelta(seconds=1), 0.5, TERMS)
    assert (decision.outgoing, decision.saga) == ((), assigning._replace(due_at=then + TERMS.repeat_base))


def test_an_assign_is_first_repeated_after_the_base_of_the_backoff_however_often_the_reserve_was() -> None:
    saga = begun()
    for seconds in (2, 3):
        repeated = fall_due(saga, NOW + timedelta(seconds=seconds), 1.0, TERMS).saga
        assert repeated is not None
        saga = repeated
    then = NOW + timedelta(seconds=4)
    assert saga.due_at > then + TERMS.repeat_base
    assigning = tell(saga, *HAPPY[:2], now=then).saga
    assert assigning is not None
    assert assigning.due_at == then + TERMS.repeat_base


def test_who_was_asked_only_just_now_is_not_waited_for_beyond_the_deadline() -> None:
    then = DEADLINE - TERMS.repeat_base / 2
    assigning = tell(begun(), PACKETS_RESERVED, AGENT_RESERVED, now=then).saga
    assert assigning is not None
    assert fall_due(assigning, then, 0.5, TERMS) == Decision(assigning._replace(due_at=DEADLINE))


def test_an_alarm_is_raised_after_so_many_repeats_and_release_goes_on() -> None:
    saga = after(AGENT_REFUSED)
    alarms = []
    for _ in range(5):
        decision = fall_due(saga, NOW + timedelta(hours=1), 0.5, TERMS)
        assert decision.saga is not None
        assert [message for message, _ in decision.outgoing] == [message for message, _ in RELEASES]
        saga = decision.saga
        alarms.append([name for name, _ in decision.alarms])
    assert alarms == [[], [], ["unanswered"], ["unanswered"], ["unanswered"]]


def test_repeats_are_counted_anew_in_each_phase() -> None:
    asked_again = fall_due(begun(), NOW + timedelta(seconds=2), 0.5, TERMS).saga
    assert asked_again is not None
    assert asked_again.repeats == 1
    assigning = tell(asked_again, *HAPPY[:2]).saga
    releasing = tell(asked_again, AGENT_REFUSED).saga
    assert assigning is not None
    assert releasing is not None
    assert (assigning.repeats, releasing.repeats) == (0, 0)
