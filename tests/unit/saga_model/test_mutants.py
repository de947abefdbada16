"""The check notices every saga and every participant that decides wrongly in one place."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import pytest

from messages.contracts.participation import RESERVATION_EXPIRED, Assigned
from messages.participant import answers, due
from messages.participant.reservation import Decision as Answer
from messages.participant.reservation import Reply, Reservation, State, ended, refusal
from order_saga import outgoing, steps
from order_saga import saga as sagas
from order_saga.state import Decision, Phase, Saga, Standing
from tests.unit.saga_model.model import MANY, Model
from tests.unit.saga_model.network import Violation
from tests.unit.saga_model.parties import EARLY

GRANTED = {"store": ("store-1",), "delivery": ("delivery-1",)}
Patch: TypeAlias = pytest.MonkeyPatch


def decides_when_all_have_reserved(patch: Patch) -> None:
    def reserved(saga: Saga, name: str, now: Any, terms: Any) -> Decision:
        saga = saga._replace(standing={**saga.standing, name: Standing.RESERVED})
        if Standing.ASKED in saga.standing.values():
            return Decision(saga)
        saga = saga._replace(phase=Phase.PLACED, granted=GRANTED, decided_at=now)
        return Decision(saga, (outgoing.outcome(saga, terms), *outgoing.assign(saga, saga.standing, terms)))

    patch.setattr(steps, "reserved", reserved)


def tells_the_customer_when_all_have_reserved(patch: Patch) -> None:
    def reserved(saga: Saga, name: str, now: Any, terms: Any) -> Decision:
        decision = honest(saga, name, now, terms)
        told = outgoing.outcome(saga._replace(phase=Phase.PLACED, granted=GRANTED), terms)
        return decision._replace(outgoing=(told, *decision.outgoing)) if decision.outgoing else decision

    honest = steps.reserved
    patch.setattr(steps, "reserved", reserved)


def is_content_with_the_first_assignment(patch: Patch) -> None:
    def assigned(saga: Saga, _name: str, _unit_ids: Any, now: Any, terms: Any) -> Decision:
        saga = saga._replace(phase=Phase.PLACED, granted=GRANTED, decided_at=now)
        return Decision(saga, (outgoing.outcome(saga, terms), *outgoing.confirm(saga, saga.standing, terms)))

    patch.setattr(steps, "assigned", assigned)


def lets_a_late_assignment_revive_the_order(patch: Patch) -> None:
    def in_vain(saga: Saga, answer: Any, now: Any, terms: Any) -> Decision:
        if isinstance(answer, Assigned) and saga.phase is Phase.RELEASING:
            saga = saga._replace(standing={**saga.standing, answer.PARTICIPANT: Standing.ASSIGNED})
            if set(saga.standing.values()) != {Standing.ASSIGNED}:
                return Decision(saga)
            saga = saga._replace(phase=Phase.PLACED, granted=GRANTED)
            return Decision(saga, (outgoing.outcome(saga, terms),))
        return honest(saga, answer, now, terms)

    honest = sagas._answered_though_not_placed
    patch.setattr(sagas, "_answered_though_not_placed", in_vain)


def lets_the_deadline_undo_what_is_placed(patch: Patch) -> None:
    def fall_due(saga: Saga, now: Any, jitter: float, terms: Any) -> Decision:
        if saga.phase is Phase.PLACED:
            return steps.give_up(saga, None, "deadline_passed", now, terms)
        return honest(saga, now, jitter, terms)

    honest = sagas.fall_due
    patch.setattr(sagas, "fall_due", fall_due)


def lets_a_cancel_undo_what_is_placed(patch: Patch) -> None:
    def cancelled(saga: Saga, heard: Any, now: Any, terms: Any) -> Decision:
        if saga.phase is Phase.PLACED:
            return steps.give_up(saga, None, "cancelled", now, terms)
        return honest(saga, heard, now, terms)

    honest = sagas._cancelled
    patch.setattr(sagas, "_cancelled", cancelled)


def releases_only_who_has_answered(patch: Patch) -> None:
    def give_up(saga: Saga, participant: str | None, reason: str, now: Any, terms: Any) -> Decision:
        decision = honest(saga, participant, reason, now, terms)
        held = [name for name, standing in saga.standing.items() if standing is not Standing.ASKED]
        return decision._replace(outgoing=(decision.outgoing[0], *outgoing.release(saga, held, terms)))

    honest = steps.give_up
    patch.setattr(steps, "give_up", give_up)


def closes_after_the_first_release(patch: Patch) -> None:
    patch.setattr(steps, "released", lambda saga, _, now: Decision(saga._replace(phase=Phase.CLOSED, cleaned_at=now)))


def never_repeats_a_release(patch: Patch) -> None:
    def silent(phase: Phase, standings: Mapping[str, Standing]) -> list[str]:
        return [] if phase is Phase.RELEASING else honest(phase, standings)

    honest = steps.silent
    patch.setattr(steps, "silent", silent)


def never_confirms_to_who_asks(patch: Patch) -> None:
    patch.setattr(sagas, "_asked_about", lambda saga, *_: Decision(saga))


def change_cell(patch: Patch, state: State, column: int, rule: Callable[..., Answer]) -> None:
    """Change a cell of the participants' answer table.

    The columns are Reserve, Assign, Release, OrderPlaced, DeliveryCompleted.
    """
    row = list(answers.TABLE[state])
    row[column] = rule
    patch.setitem(answers.TABLE, state, tuple(row))


def lets_a_participant_keep_what_is_assigned_on_release(patch: Patch) -> None:
    change_cell(patch, State.ASSIGNED, 2, lambda held, _: Answer(held, Reply.RELEASED))


def lets_a_participant_leave_no_tombstone(patch: Patch) -> None:
    change_cell(patch, State.ABSENT, 2, lambda absent, _: Answer(absent, Reply.RELEASED))


def lets_a_participant_forget_what_it_released(patch: Patch) -> None:
    def free(held: Reservation, _: Any) -> Answer:
        return Answer(Reservation(held.order_id), Reply.RELEASED)

    change_cell(patch, State.RESERVED, 2, free)


def lets_a_participant_reserve_again_after_its_release(patch: Patch) -> None:
    change_cell(patch, State.RELEASED, 0, answers._reserve)


def lets_a_participant_assign_what_has_expired(patch: Patch) -> None:
    def assign(held: Reservation, _: Any) -> Answer:
        return Answer(held._replace(unit_ids=("long-gone",)), Reply.ASSIGNED)

    change_cell(patch, State.EXPIRED, 1, assign)


def lets_an_assignment_expire(patch: Patch) -> None:
    def fall_due(held: Reservation, clock: Any, terms: Any) -> Answer:
        if held.state is State.ASSIGNED:
            return refusal(ended(held, State.EXPIRED, RESERVATION_EXPIRED, clock, terms))
        return honest(held, clock, terms)

    honest = due.fall_due
    patch.setattr(due, "fall_due", fall_due)


MUTANTS = [
    (decides_when_all_have_reserved, "I1"),
    (tells_the_customer_when_all_have_reserved, "I5"),
    (is_content_with_the_first_assignment, "I1"),
    (lets_a_late_assignment_revive_the_order, "I4"),
    (lets_the_deadline_undo_what_is_placed, "what is placed"),
    (lets_a_cancel_undo_what_is_placed, "what is placed"),
    (releases_only_who_has_answered, "I4"),
    (closes_after_the_first_release, "I3"),
    (never_repeats_a_release, "I4"),
    (never_confirms_to_who_asks, "I3"),
    (lets_a_participant_keep_what_is_assigned_on_release, "I3"),
    (lets_a_participant_leave_no_tombstone, "I3"),
    (lets_a_participant_forget_what_it_released, "I3"),
    (lets_a_participant_reserve_again_after_its_release, "I3"),
    (lets_a_participant_assign_what_has_expired, "I1"),
    (lets_an_assignment_expire, "I1"),
]


@pytest.mark.parametrize(("mutant", "violation"), MUTANTS, ids=lambda each: getattr(each, "__name__", ""))
def test_the_check_notices_a_saga_that(mutant: Callable[[Patch], None], violation: str, monkeypatch: Patch) -> None:
    mutant(monkeypatch)
    with pytest.raises(Violation, match=violation):
        Model(orders=1, copies=2, cancel=True).explore(MANY, depth_first=True)


def test_the_check_notices_a_participant_that_lends_a_unit_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Model, "_would_reserve", lambda *_: True)
    with pytest.raises(Violation, match="I2"):
        Model(orders=2, copies=1, inquiries=False, clocks=(EARLY,)).explore(MANY)
