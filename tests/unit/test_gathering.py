"""What is worth waiting for: the other participant's answer, once, and nothing that decides by itself."""

from uuid import UUID, uuid4

import pytest

from messages.contracts.delivery import AgentAssigned, AgentRefused, AgentReleased, AgentReserved
from messages.contracts.message import Message
from messages.contracts.order import CancelOrder
from messages.contracts.store import PacketsAssigned, PacketsReserved
from messages.transport.incoming import Incoming
from order_saga import gathering
from order_saga.gathering import Gathering

ORDER = uuid4()
TRACE = f"00-{'a' * 32}-{'b' * 16}-01"


def heard(*messages: Message) -> list[Incoming]:
    return [Incoming(message, uuid4(), TRACE) for message in messages]


def store_assigned(order_id: UUID) -> Message:
    return PacketsAssigned(order_id=order_id, packet_ids=("P",))


def delivery_assigned(order_id: UUID) -> Message:
    return AgentAssigned(order_id=order_id, agent_id="A")


def test_the_first_answer_is_incomplete_and_both_are_not() -> None:
    it = Gathering()
    assert it.is_incomplete(heard(PacketsReserved(order_id=ORDER)))
    assert not it.is_incomplete(heard(PacketsReserved(order_id=ORDER), AgentReserved(order_id=ORDER)))


def test_answers_to_another_question_or_about_another_order_complete_nothing() -> None:
    it = Gathering()
    assert it.is_incomplete(heard(PacketsReserved(order_id=ORDER), delivery_assigned(ORDER)))
    assert it.is_incomplete(heard(PacketsReserved(order_id=ORDER), AgentReserved(order_id=uuid4())))


def test_one_order_that_lacks_an_answer_is_enough_to_wait() -> None:
    complete = heard(PacketsReserved(order_id=ORDER), AgentReserved(order_id=ORDER))
    assert Gathering().is_incomplete([*complete, *heard(PacketsReserved(order_id=uuid4()))])


def test_nobody_waits_for_what_belongs_to_an_answer_that_was_handled_alone() -> None:
    it = Gathering()
    it.close(heard(store_assigned(ORDER)))
    assert not it.is_incomplete(heard(delivery_assigned(ORDER)))


def test_what_was_complete_is_forgotten() -> None:
    it = Gathering()
    it.close(heard(PacketsReserved(order_id=ORDER)))
    it.close(heard(AgentReserved(order_id=ORDER)))
    assert it.is_incomplete(heard(AgentReserved(order_id=ORDER)))


@pytest.mark.parametrize(
    "message",
    [
        AgentRefused(order_id=ORDER, reason="no_agent"),
        AgentReleased(order_id=ORDER),
        CancelOrder(order_id=ORDER),
    ],
)
def test_what_decides_by_itself_is_not_held_up(message: Message) -> None:
    assert not Gathering().is_incomplete(heard(message))
    assert not Gathering().is_incomplete(heard(PacketsReserved(order_id=ORDER), message))


def test_it_does_not_remember_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "REMEMBERED", 2)
    it = Gathering()
    orders = [uuid4() for _ in range(3)]
    for order_id in orders:
        it.close(heard(PacketsReserved(order_id=order_id)))
    assert [it.is_incomplete(heard(AgentReserved(order_id=order_id))) for order_id in orders] == [True, False, False]
