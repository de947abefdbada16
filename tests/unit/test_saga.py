"""Each path of the saga, for any participants. Nothing here needs a server, a clock or a mock."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import pytest

from messages.contracts.delivery import (
    AgentAssigned,
    AgentRefused,
    AgentReleased,
    AgentReserved,
    AssignAgent,
    ReleaseAgent,
    ReserveAgent,
)
from messages.contracts.message import Message
from messages.contracts.order import CancelOrder, Line, OrderNotPlaced, OrderPlaced, OrderRequested, RequestRejected
from messages.contracts.participation import (
    Assign,
    Assigned,
    OutcomeRequested,
    Refused,
    Release,
    Released,
    Reserve,
    Reserved,
)
from messages.contracts.store import (
    AssignPackets,
    PacketsAssigned,
    PacketsRefused,
    PacketsReleased,
    PacketsReserved,
    ReleasePackets,
    ReservePackets,
    Want,
)
from messages.transport.addresses import Address
from messages.transport.incoming import Incoming, Malformed
from messages.transport.settings import WrongSetting
from order_saga.content import canonical, fingerprint, from_canonical
from order_saga.handlers import HANDLERS
from order_saga.participants import PARTICIPANTS, Granted, Participant
from order_saga.participants import placed as placed_by_two
from order_saga.saga import advance, fall_due, start
from order_saga.service import answer_malformed, service
from order_saga.settings import Settings
from order_saga.state import Decision, Phase, Policy, Saga

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
ORDER = UUID(int=1)
REQUEST = UUID(int=2)
TERMS = Policy(
    budget=timedelta(seconds=15),
    lease_seconds=30,
    repeat_base=timedelta(seconds=1),
    repeat_cap=timedelta(seconds=8),
    release_cap=timedelta(seconds=60),
    alarm_after_repeats=3,
    participants={name: PARTICIPANTS[name] for name in ("store", "delivery")},
)
DEADLINE = NOW + TERMS.budget

CUSTOMER = Address("outcomes", "order_placed")
STORE_INTAKE, STORE_SETTLE = Address("commands", "store_worker.reserve"), Address("commands", "store_worker.settle")
DELIVERY_INTAKE = Address("commands", "delivery_worker.reserve")
DELIVERY_SETTLE = Address("commands", "delivery_worker.settle")
RELEASES = [(ReleasePackets(order_id=ORDER), STORE_SETTLE), (ReleaseAgent(order_id=ORDER), DELIVERY_SETTLE)]

PACKETS_RESERVED, AGENT_RESERVED = PacketsReserved(order_id=ORDER), AgentReserved(order_id=ORDER)
PACKETS_ASSIGNED = PacketsAssigned(order_id=ORDER, packet_ids=("P-1", "P-2"))
AGENT_ASSIGNED = AgentAssigned(order_id=ORDER, agent_id="A-1")
PACKETS_REFUSED = PacketsRefused(order_id=ORDER, reason="out_of_stock")
AGENT_REFUSED = AgentRefused(order_id=ORDER, reason="no_agent")
PACKETS_RELEASED, AGENT_RELEASED = PacketsReleased(order_id=ORDER), AgentReleased(order_id=ORDER)
CANCEL = CancelOrder(order_id=ORDER)
PLACED = OrderPlaced(order_id=ORDER, packet_ids=("P-1", "P-2"), agent_id="A-1")
HAPPY = [PACKETS_RESERVED, AGENT_RESERVED, PACKETS_ASSIGNED, AGENT_ASSIGNED]


def arrived(message: Message, message_id: UUID = REQUEST) -> Incoming:
    return Incoming(message, message_id, "00-trace")


def requested(**changes: Any) -> OrderRequested:
    lines = (Line(sku="milk", quantity=2, price_cents=99), Line(sku="bread", quantity=1, price_cents=250))
    fields: dict[str, Any] = {"order_id": ORDER, "customer_id": "C-1", "store_id": "S-1", "zone": "Z-1", "lines": lines}
    return OrderRequested(**fields | changes)


def after(*messages: Message, policy: Policy = TERMS) -> Saga:
    """The saga once it has heard the request and then these."""
    return tell(begun(policy=policy), *messages, policy=policy).saga  # type: ignore[return-value]


def begun(request: OrderRequested | None = None, policy: Policy = TERMS) -> Saga:
    saga = start(arrived(request or requested()), NOW, policy).saga
    assert saga is not None
    return saga


def tell(saga: Saga, *messages: Message, now: datetime = NOW, policy: Policy = TERMS) -> Decision:
    """The last decision."""
    decision = Decision(saga)
    for message in messages:
        assert decision.saga is not None
        decision = advance(decision.saga, arrived(message), now, policy)
    return decision


def all_phases() -> Mapping[Phase, Saga]:
    return {
        Phase.RESERVING: after(PACKETS_RESERVED),
        Phase.ASSIGNING: after(*HAPPY[:3]),
        Phase.PLACED: after(*HAPPY),
        Phase.RELEASING: after(PACKETS_RESERVED, AGENT_REFUSED),
        Phase.CLOSED: after(AGENT_REFUSED, PACKETS_RELEASED, AGENT_RELEASED),
    }


UNDECIDED = (Phase.RESERVING, Phase.ASSIGNING)
NOT_PLACED = (Phase.RELEASING, Phase.CLOSED)


# Accepting


def test_all_participants_are_asked_to_reserve_at_once() -> None:
    decision = start(arrived(requested()), NOW, TERMS)
    wants = (Want(sku="milk", quantity=2), Want(sku="bread", quantity=1))
    limits: dict[str, Any] = {"order_id": ORDER, "lease_seconds": 30, "not_after": DEADLINE}
    assert decision.outgoing == (
        (ReservePackets(**limits, store_id="S-1", wants=wants), STORE_INTAKE),
        (ReserveAgent(**limits, zone="Z-1"), DELIVERY_INTAKE),
    )
    assert decision.effect == "reserving"


def test_a_later_deadline_than_the_budget_is_clamped_and_an_earlier_one_kept() -> None:
    assert begun(requested(deadline=NOW + timedelta(days=1))).deadline == DEADLINE
    assert begun(requested(deadline=NOW + timedelta(seconds=5))).deadline == NOW + timedelta(seconds=5)
    assert begun(requested()).deadline == DEADLINE


@pytest.mark.parametrize("deadline", [NOW, NOW - timedelta(days=1), datetime.min.replace(tzinfo=UTC)])
def test_an_order_that_comes_too_late_is_not_placed_and_nobody_is_asked(deadline: datetime) -> None:
    decision = start(arrived(requested(deadline=deadline)), NOW, TERMS)
    not_placed = OrderNotPlaced(order_id=ORDER, reason="deadline_passed")
    assert decision.outgoing == ((not_placed, Address("outcomes", "order_not_placed")),)
    assert decision.saga is not None
    assert (decision.saga.phase, decision.saga.standing) == (Phase.CLOSED, {})
    assert tell(decision.saga, requested(zone="Z-2")).effect == "rejected: conflict"


def test_an_order_is_first_looked_at_after_the_base_of_the_backoff_but_never_after_its_deadline() -> None:
    assert begun().due_at == NOW + TERMS.repeat_base
    hurried = begun(requested(deadline=NOW + timedelta(milliseconds=10)))
    assert hurried.due_at == hurried.deadline


# Placing


@pytest.mark.parametrize("reserved", [*itertools.permutations([PACKETS_RESERVED, AGENT_RESERVED])])
@pytest.mark.parametrize("assigned", [*itertools.permutations([PACKETS_ASSIGNED, AGENT_ASSIGNED])])
def test_an_order_is_placed_in_whatever_order_the_answers_come(
    reserved: Sequence[Message], assigned: Sequence[Message]
) -> None:
    first = tell(begun(), reserved[0])
    assert first.outgoing == ()
    second = tell(begun(), *reserved)
    assert second.outgoing == (
        (AssignPackets(order_id=ORDER, not_after=DEADLINE), STORE_SETTLE),
        (AssignAgent(order_id=ORDER, not_after=DEADLINE), DELIVERY_SETTLE),
    )
    assert second.effect == "reserving -> assigning"
    third = tell(begun(), *reserved, assigned[0])
    assert third.outgoing == ()
    last = tell(begun(), *reserved, *assigned)
    assert last.outgoing == ((PLACED, CUSTOMER), (PLACED, STORE_SETTLE), (PLACED, DELIVERY_SETTLE))
    assert last.effect == "assigning -> placed"


def test_going_over_to_assigning_leaves_the_due_time_so_that_no_index_changes() -> None:
    saga = begun()
    assigning = tell(saga, PACKETS_RESERVED, AGENT_RESERVED, now=NOW + timedelta(milliseconds=300)).saga
    assert assigning is not None
    assert assigning.due_at == saga.due_at


def test_nothing_is_placed_before_everybody_has_assigned() -> None:
    """Every sequence of the four good answers, with repetitions, that lacks one of the two assignments."""
    for length in range(6):
        for messages in itertools.product(HAPPY, repeat=length):
            placed = after(*messages).outcome == "placed"
            assert placed <= {PACKETS_ASSIGNED, AGENT_ASSIGNED}.issubset(messages[2:])


def test_two_answers_of_one_participant_do_not_count_as_one_of_each() -> None:
    assert after(PACKETS_RESERVED, PACKETS_RESERVED).phase is Phase.RESERVING
    assert after(*HAPPY[:3], PACKETS_ASSIGNED).phase is Phase.ASSIGNING


def test_what_a_participant_has_assigned_stays_as_it_said_first() -> None:
    saga = after(*HAPPY[:3])
    assert tell(saga, PacketsAssigned(order_id=ORDER, packet_ids=("P-9",))) == Decision(saga)


# Not placing


@pytest.mark.parametrize("before", [[], [PACKETS_RESERVED], HAPPY[:2], HAPPY[:3]])
def test_one_refusal_before_the_outcome_is_enough_and_everybody_is_released(before: Sequence[Message]) -> None:
    decision = tell(begun(), *before, AGENT_REFUSED)
    told = OrderNotPlaced(order_id=ORDER, participant="delivery", reason="no_agent")
    assert decision.outgoing == ((told, Address("outcomes", "order_not_placed")), *RELEASES)
    assert decision.saga is not None
    assert (decision.saga.phase, decision.saga.granted) == (Phase.RELEASING, {})
    assert decision.effect.endswith("-> releasing: no_agent")


def test_the_second_refusal_changes_nothing() -> None:
    decision = tell(after(AGENT_REFUSED), PACKETS_REFUSED)
    assert (decision.outgoing, decision.effect, decision.alarms) == ((), "no effect", ())


@pytest.mark.parametrize("released", [*itertools.permutations([PACKETS_RELEASED, AGENT_RELEASED])])
def test_an_order_is_closed_when_everybody_has_released(released: Sequence[Message]) -> None:
    first = tell(after(AGENT_REFUSED), released[0])
    assert first.saga is not None
    assert (first.saga.phase, first.saga.cleaned_at) == (Phase.RELEASING, None)
    second = tell(first.saga, released[1])
    assert second.saga is not None
    assert (second.saga.phase, second.saga.cleaned_at) == (Phase.CLOSED, NOW)
    assert tell(first.saga, released[0]) == Decision(first.saga)


@pytest.mark.parametrize("phase", NOT_PLACED)
@pytest.mark.parametrize("late", [PACKETS_RESERVED, PACKETS_ASSIGNED])
def test_whoever_holds_something_for_an_order_that_is_not_placed_is_released(phase: Phase, late: Message) -> None:
    saga = all_phases()[phase]
    decision = tell(saga, late)
    assert decision.outgoing == (RELEASES[0],)
    assert decision.saga == saga


@pytest.mark.parametrize("late", [*HAPPY, PACKETS_REFUSED, PACKETS_RELEASED])
def test_no_answer_ever_changes_an_outcome(late: Message) -> None:
    for phase in (Phase.PLACED, Phase.CLOSED):
        saga = all_phases()[phase]
        assert tell(saga, late).saga == saga


@pytest.mark.parametrize("answer", [PACKETS_REFUSED, PACKETS_RELEASED])
def test_a_participant_that_has_not_what_was_placed_raises_an_alarm(answer: Message) -> None:
    decision = tell(after(*HAPPY), answer)
    assert [name for name, _ in decision.alarms] == ["placed_but_not_held"]
    assert decision.outgoing == ()


@pytest.mark.parametrize(
    ("phase", "answer"),
    [
        (Phase.RESERVING, PACKETS_ASSIGNED),
        (Phase.RESERVING, PACKETS_RELEASED),
        (Phase.ASSIGNING, AGENT_RELEASED),
    ],
)
def test_an_answer_that_nobody_asked_for_changes_nothing_and_raises_an_alarm(phase: Phase, answer: Message) -> None:
    saga = all_phases()[phase]
    decision = tell(saga, answer)
    assert decision.saga == saga
    assert [name for name, _ in decision.alarms] == ["unasked_answer"]


@pytest.mark.parametrize("answer", [AGENT_RESERVED, AGENT_ASSIGNED])
def test_an_answer_after_the_deadline_no_longer_places_an_order(answer: Message) -> None:
    saga = after(PACKETS_RESERVED) if answer is AGENT_RESERVED else after(*HAPPY[:3])
    decision = tell(saga, answer, now=DEADLINE)
    assert decision.outgoing[0][0] == OrderNotPlaced(order_id=ORDER, reason="deadline_passed")
    assert [*decision.outgoing[1:]] == RELEASES


# Cancelling, asking again, asking about


@pytest.mark.parametrize("phase", UNDECIDED)
def test_an_undecided_order_can_be_cancelled(phase: Phase) -> None:
    decision = tell(all_phases()[phase], CANCEL)
    assert decision.outgoing[0][0] == OrderNotPlaced(order_id=ORDER, reason="cancelled")
    assert [*decision.outgoing[1:]] == RELEASES


def test_a_placed_order_cannot_be_cancelled() -> None:
    saga = after(*HAPPY)
    decision = tell(saga, CANCEL)
    (rejected, to), *_ = decision.outgoing
    assert isinstance(rejected, RequestRejected)
    assert (rejected.reason, rejected.request_message_id, rejected.order_id) == ("too_late", REQUEST, ORDER)
    assert to == Address("outcomes", "request_rejected")
    assert decision.saga == saga


@pytest.mark.parametrize("phase", NOT_PLACED)
@pytest.mark.parametrize("request_", [CANCEL, requested()])
def test_whoever_asks_about_an_order_that_is_not_placed_hears_it_again(phase: Phase, request_: Message) -> None:
    saga = all_phases()[phase]
    decision = tell(saga, request_)
    assert [message for message, _ in decision.outgoing] == [
        OrderNotPlaced(order_id=ORDER, participant="delivery", reason="no_agent")
    ]
    assert decision.saga == saga


def test_an_order_that_is_cancelled_before_it_is_requested_is_never_placed() -> None:
    cancelled = start(arrived(CANCEL), NOW, TERMS)
    told = OrderNotPlaced(order_id=ORDER, reason="cancelled")
    assert [message for message, _ in cancelled.outgoing] == [told]
    assert cancelled.saga is not None
    assert cancelled.saga.phase is Phase.CLOSED
    assert [message for message, _ in tell(cancelled.saga, requested()).outgoing] == [told]


def test_a_repeated_request_hears_the_outcome_again_and_the_workers_do_not() -> None:
    decision = tell(after(*HAPPY), requested())
    assert decision.outgoing == ((PLACED, CUSTOMER),)


@pytest.mark.parametrize("phase", UNDECIDED)
def test_a_repeated_request_hears_nothing_while_the_order_is_undecided(phase: Phase) -> None:
    saga = all_phases()[phase]
    assert tell(saga, requested()) == Decision(saga)


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize(
    "change",
    [
        {"customer_id": "C-2"},
        {"store_id": "S-2"},
        {"zone": "Z-2"},
        {"lines": (Line(sku="milk", quantity=2, price_cents=99),)},
        {"lines": (Line(sku="milk", quantity=2, price_cents=98), Line(sku="bread", quantity=1, price_cents=250))},
        {"lines": (Line(sku="milk", quantity=1, price_cents=99), Line(sku="bread", quantity=1, price_cents=250))},
    ],
)
def test_a_request_with_other_content_is_rejected_and_the_order_goes_on(phase: Phase, change: Any) -> None:
    saga = all_phases()[phase]
    decision = tell(saga, requested(**change))
    (rejected, _), *others = decision.outgoing
    assert isinstance(rejected, RequestRejected)
    assert (rejected.reason, rejected.request_message_id, others) == ("conflict", REQUEST, [])
    assert decision.saga == saga


def test_neither_the_order_of_the_lines_nor_the_deadline_makes_another_order() -> None:
    lines = tuple(reversed(requested().lines))
    again = requested(lines=lines, deadline=NOW + timedelta(seconds=3))
    assert tell(after(*HAPPY), again).outgoing == ((PLACED, CUSTOMER),)


def test_what_an_order_is_about_is_remembered_exactly() -> None:
    order = requested(lines=(Line(sku="a", quantity=100, price_cents=0), Line(sku="b", quantity=1, price_cents=7)))
    assert from_canonical(ORDER, canonical(order)) == order


def test_every_field_of_an_order_and_of_its_lines_is_part_of_its_content() -> None:
    """But for the id and the deadline: what is missing is neither repeated to participants nor compared."""
    example = (Path(__file__).parent / "examples" / "OrderRequested.json").read_text()
    content = json.loads(canonical(OrderRequested.model_validate_json(example)))
    assert content.keys() == OrderRequested.model_fields.keys() - {"order_id", "deadline"}
    assert {frozenset(line) for line in content["lines"]} == {frozenset(Line.model_fields)}


def test_an_order_without_later_fields_keeps_its_fingerprint() -> None:
    """It is kept for ever: with another one, a repeated request of an earlier release would be a conflict."""
    first_release = "d7bcb44b2fefad2986e161c614db30b05c2fceb43dc226f08905e43e2a2a06e1"
    assert fingerprint(canonical(requested())).hex() == first_release


def test_a_participant_that_asks_about_a_placed_order_is_confirmed() -> None:
    decision = tell(after(*HAPPY), OutcomeRequested(order_id=ORDER, participant="delivery"))
    assert decision.outgoing == ((PLACED, DELIVERY_SETTLE),)


@pytest.mark.parametrize("phase", NOT_PLACED)
def test_a_participant_that_asks_about_an_order_that_is_not_placed_is_released(phase: Phase) -> None:
    decision = tell(all_phases()[phase], OutcomeRequested(order_id=ORDER, participant="store"))
    assert decision.outgoing == (RELEASES[0],)


@pytest.mark.parametrize("phase", UNDECIDED)
def test_a_participant_that_asks_too_early_hears_nothing(phase: Phase) -> None:
    saga = all_phases()[phase]
    assert tell(saga, OutcomeRequested(order_id=ORDER, participant="store")) == Decision(saga)


@pytest.mark.parametrize(
    "message", [OutcomeRequested(order_id=ORDER, participant="store"), PACKETS_RESERVED, PACKETS_ASSIGNED]
)
def test_an_order_never_heard_of_is_first_committed_as_not_placed_and_then_released(message: Message) -> None:
    decision = start(arrived(message), NOW, TERMS)
    assert decision.outgoing == (RELEASES[0],)
    assert decision.saga is not None
    assert (decision.saga.outcome, decision.saga.reason) == ("not_placed", "unknown_order")
    assert [message for message, _ in tell(decision.saga, requested()).outgoing] == [
        OrderNotPlaced(order_id=ORDER, reason="unknown_order")
    ]


@pytest.mark.parametrize("message", [PACKETS_REFUSED, PACKETS_RELEASED])
def test_whoever_holds_nothing_for_an_order_never_heard_of_changes_nothing(message: Message) -> None:
    assert start(arrived(message), NOW, TERMS) == Decision(None)


def test_a_question_from_somebody_unknown_raises_an_alarm() -> None:
    question = OutcomeRequested(order_id=ORDER, participant="payment")
    for decision in (start(arrived(question), NOW, TERMS), *(tell(saga, question) for saga in all_phases().values())):
        if decision.saga is not None and decision.saga.outcome:
            assert [name for name, _ in decision.alarms] == ["unknown_participant"]
        assert decision.outgoing == ()


# Time


@pytest.mark.parametrize("phase", UNDECIDED)
def test_an_undecided_order_is_not_placed_when_its_deadline_has_passed(phase: Phase) -> None:
    decision = fall_due(all_phases()[phase], DEADLINE, 0.5, TERMS)
    assert decision.outgoing[0][0] == OrderNotPlaced(order_id=ORDER, reason="deadline_passed")
    assert [*decision.outgoing[1:]] == RELEASES


@pytest.mark.parametrize("phase", [Phase.PLACED, Phase.CLOSED])
def test_what_is_finished_is_left_alone(phase: Phase) -> None:
    saga = all_phases()[phase]
    assert fall_due(saga, NOW + timedelta(days=1), 0.5, TERMS) == Decision(saga)


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


# A third participant


class ReservePayment(Reserve):
    PARTICIPANT: ClassVar[str] = "payment"
    amount_cents: int


class AssignPayment(Assign):
    PARTICIPANT: ClassVar[str] = "payment"


class ReleasePayment(Release):
    PARTICIPANT: ClassVar[str] = "payment"


class PaymentReserved(Reserved):
    PARTICIPANT: ClassVar[str] = "payment"


class PaymentRefused(Refused):
    PARTICIPANT: ClassVar[str] = "payment"


class PaymentAssigned(Assigned):
    PARTICIPANT: ClassVar[str] = "payment"

    @property
    def unit_ids(self) -> tuple[str, ...]:
        return ("receipt-1",)


class PaymentReleased(Released):
    PARTICIPANT: ClassVar[str] = "payment"


class OrderPlacedAndPaid(OrderPlaced):
    receipt_id: str | None = None


def placed_by_three(order_id: UUID, granted: Granted) -> OrderPlaced:
    """Also for an order from before the third was registered, which it has granted nothing."""
    placed = placed_by_two(order_id, granted)
    return OrderPlacedAndPaid(**placed.model_dump(), receipt_id=next(iter(granted.get("payment", ())), None))


PAYMENT = Participant(
    name="payment",
    worker="payment_worker",
    reserve=lambda order, lease_seconds, not_after: ReservePayment(
        order_id=order.order_id,
        lease_seconds=lease_seconds,
        not_after=not_after,
        amount_cents=sum(line.quantity * line.price_cents for line in order.lines),
    ),
    assign=AssignPayment,
    release=ReleasePayment,
    answers=(PaymentReserved, PaymentRefused, PaymentAssigned, PaymentReleased),
    wanted=lambda _: {"receipt": 1},
    place=lambda _: None,
    used_up=True,
)
WITH_PAYMENT = replace(TERMS, participants={**TERMS.participants, "payment": PAYMENT}, placed=placed_by_three)
THREE_RESERVED = [PACKETS_RESERVED, AGENT_RESERVED, PaymentReserved(order_id=ORDER)]
THREE_ASSIGNED = [PACKETS_ASSIGNED, AGENT_ASSIGNED, PaymentAssigned(order_id=ORDER)]


def test_a_third_participant_is_asked_like_the_others() -> None:
    payment = start(arrived(requested()), NOW, WITH_PAYMENT).outgoing[2]
    reserve = ReservePayment(order_id=ORDER, lease_seconds=30, not_after=DEADLINE, amount_cents=448)
    assert payment == (reserve, Address("commands", "payment_worker.reserve"))


@pytest.mark.parametrize("reserved", [*itertools.permutations(THREE_RESERVED)])
@pytest.mark.parametrize("assigned", [*itertools.permutations(THREE_ASSIGNED)])
def test_an_order_of_three_participants_is_placed_by_the_last_of_them(
    reserved: Sequence[Message], assigned: Sequence[Message]
) -> None:
    saga = begun(policy=WITH_PAYMENT)
    assert len(tell(saga, *reserved, policy=WITH_PAYMENT).outgoing) == 3
    assert tell(saga, *reserved, *assigned[:2], policy=WITH_PAYMENT).outgoing == ()
    last = tell(saga, *reserved, *assigned, policy=WITH_PAYMENT)
    placed, _ = last.outgoing[0]
    assert isinstance(placed, OrderPlacedAndPaid)
    assert placed.receipt_id == "receipt-1"
    assert [to.key for _, to in last.outgoing[1:]] == [
        "store_worker.settle",
        "delivery_worker.settle",
        "payment_worker.settle",
    ]


def test_a_third_participant_may_refuse_and_is_released_like_the_others() -> None:
    saga = after(*THREE_RESERVED, PACKETS_ASSIGNED, policy=WITH_PAYMENT)
    refused = PaymentRefused(order_id=ORDER, reason="no_funds")
    decision = tell(saga, refused, policy=WITH_PAYMENT)
    told, *releases = [message for message, _ in decision.outgoing]
    assert told == OrderNotPlaced(order_id=ORDER, participant="payment", reason="no_funds")
    assert [type(message) for message in releases] == [ReleasePackets, ReleaseAgent, ReleasePayment]
    assert decision.saga is not None
    two_released = tell(decision.saga, PACKETS_RELEASED, AGENT_RELEASED, policy=WITH_PAYMENT).saga
    assert two_released is not None
    assert two_released.phase is Phase.RELEASING
    closed = tell(two_released, PaymentReleased(order_id=ORDER), policy=WITH_PAYMENT).saga
    assert closed is not None
    assert closed.phase is Phase.CLOSED


def test_an_order_goes_on_with_those_who_were_asked_when_somebody_else_is_registered_meanwhile() -> None:
    decision = tell(after(*HAPPY[:3]), AGENT_ASSIGNED, policy=WITH_PAYMENT)
    placed = OrderPlacedAndPaid(**PLACED.model_dump())
    assert [message for message, _ in decision.outgoing] == [placed] * 3
    assert [to for _, to in decision.outgoing][1:] == [STORE_SETTLE, DELIVERY_SETTLE]
    stray = PaymentRefused(order_id=ORDER, reason="no_funds")
    for phase in UNDECIDED:
        saga = all_phases()[phase]
        assert tell(saga, stray, policy=WITH_PAYMENT).saga == saga
    releasing = all_phases()[Phase.RELEASING]
    assert tell(releasing, PaymentReleased(order_id=ORDER), policy=WITH_PAYMENT).saga == releasing


# The table of contents, settings, and what is said about what cannot be read


def test_every_answer_of_every_participant_is_listened_to_and_not_behind_new_orders() -> None:
    answers = {answer for participant in PARTICIPANTS.values() for answer in participant.answers}
    others: set[type[Message]] = {CancelOrder, OutcomeRequested}
    assert all(HANDLERS[answer] == "answers" for answer in answers | others)
    assert HANDLERS[OrderRequested] == "orders"
    assert len(HANDLERS) == len(answers) + 3


@pytest.mark.parametrize("participant", list(PARTICIPANTS.values()), ids=list(PARTICIPANTS))
def test_what_is_registered_of_a_participant_is_its_own(participant: Participant) -> None:
    outgoing: list[Any] = [*participant.answers, participant.assign, participant.release]
    assert {word.PARTICIPANT for word in outgoing} == {participant.name}
    assert participant.name == type(participant.reserve(requested(), 30, DEADLINE)).PARTICIPANT
    bases = (Reserved, Refused, Assigned, Released)
    assert [issubclass(answer, base) for answer, base in zip(participant.answers, bases, strict=True)] == [True] * 4


def settings(**changes: Any) -> Settings:
    return Settings.read(database_url="postgresql://nowhere/", **changes)


@pytest.mark.parametrize("lease_seconds", [1, 15, 19])
def test_a_lease_that_may_end_before_the_order_is_decided_is_refused_in_one_line(lease_seconds: int) -> None:
    with pytest.raises(WrongSetting, match=r"^ORDER_SAGA_LEASE_SECONDS: \d+ is too short; it must be at least 20, .*$"):
        settings(budget_seconds=15, lease_seconds=lease_seconds)
    assert settings(budget_seconds=15, lease_seconds=20).policy.lease_seconds == 20


def test_that_no_order_may_ever_begin_is_refused() -> None:
    with pytest.raises(WrongSetting, match=r"^ORDER_SAGA_UNDECIDED_LIMIT: "):
        settings(undecided_limit=0)


def test_the_service_has_jobs_that_decide_even_when_it_is_never_quiet() -> None:
    jobs = {job.name: job for job in service(settings()).jobs}
    assert not jobs["decide_overdue"].only_when_quiet
    assert jobs["ask_again"].only_when_quiet
    assert jobs["release_again"].only_when_quiet


def test_forgetting_what_orders_were_about_keeps_no_order_waiting() -> None:
    assert [job.name for job in service(settings()).jobs if job.low_priority] == ["forget_requests"]


def malformed(**changes: Any) -> Malformed:
    fields: dict[str, Any] = {"body": b"{}", "message_id": REQUEST, "reason": "invalid", "detail": "zone: too long"}
    return Malformed(**fields | changes)


@pytest.mark.parametrize(
    "document",
    [
        malformed(wire_type="OrderRequested/1.0", order_id=ORDER),
        malformed(wire_type="OrderRequested/2.0", order_id=ORDER),
        malformed(wire_type="CancelOrder/1.0", order_id=ORDER),
        malformed(wire_type="OrderRequested", order_id=ORDER),
        malformed(body=b'{"type": "OrderRequested/1.0", "zone": ', order_id=ORDER),
        malformed(body=b"\xff", queue="order_saga.orders", order_id=ORDER),
    ],
)
def test_an_unreadable_request_is_rejected_as_malformed(document: Malformed) -> None:
    (said,) = answer_malformed(document)
    assert said.to == Address("outcomes", "request_rejected")
    assert said.message == RequestRejected(
        order_id=ORDER, request_message_id=REQUEST, reason="malformed", detail="invalid: zone: too long"
    )


def test_of_what_is_wrong_with_a_request_only_so_much_is_said() -> None:
    (said,) = answer_malformed(malformed(wire_type="OrderRequested/1.0", detail="x" * 60_000))
    assert isinstance(said.message, RequestRejected)
    assert len(said.message.detail) == 500


@pytest.mark.parametrize(
    "document",
    [
        malformed(wire_type="PacketsReserved/1.0", queue="order_saga.answers"),
        malformed(wire_type="OrderRequestedTwice/1.0"),
        malformed(body=b"\xff", queue="order_saga.answers"),
        malformed(wire_type="PacketsReserved/1.0", queue="order_saga.orders"),
    ],
)
def test_what_is_no_request_is_not_answered(document: Malformed) -> None:
    assert answer_malformed(document) == []
