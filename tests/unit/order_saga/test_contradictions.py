"""No answer changes an outcome, and one that contradicts the order raises an alarm."""

import pytest

from messages.contracts.message import Message
from order_saga.state import Phase
from tests.unit.order_saga.orders import (
    AGENT_RELEASED,
    HAPPY,
    PACKETS_ASSIGNED,
    PACKETS_REFUSED,
    PACKETS_RELEASED,
    after,
    all_phases,
    tell,
)


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
