"""A request is said again until it is answered or given up, and is answered only by what is meant for it."""

from itertools import pairwise
from uuid import UUID, uuid4

import pytest

from messages.contracts.message import Message
from messages.contracts.order import CancelOrder, OrderRequested, RequestRejected
from messages.transport.edge.outcomes import Outcome
from order_saga.client import awaiting as awaiting_module
from order_saga.client.awaiting import Asked, Awaiting, Result
from tests.unit.place.requests import NOT_PLACED, ORDER, PLACED, a_cancel, an_order


def test_a_request_is_said_at_once_and_again_until_it_is_answered() -> None:
    awaiting = Awaiting(timeout_seconds=60, repeat_seconds=2)
    request = an_order()
    awaiting.add(request, now=0)

    assert awaiting.due_requests(0) == [request.request]
    assert awaiting.due_requests(0.1) == []
    again_at = awaiting.next_at()
    assert again_at is not None
    assert 0.2 <= again_at <= 2
    assert awaiting.due_requests(again_at) == [request.request]

    (result,) = awaiting.receive(told(PLACED), 3)
    assert result == Result(request, PLACED, 3)
    assert awaiting.due_requests(100) == []
    assert not awaiting


def test_waits_grow() -> None:
    awaiting = Awaiting(timeout_seconds=1_000, repeat_seconds=1)
    awaiting.add(an_order(), now=0)
    said_at: list[float] = []
    now = 0.0
    while len(said_at) < 12:
        awaiting.due_requests(now)
        said_at.append(now)
        following = awaiting.next_at()
        assert following is not None
        now = following

    assert all(later - earlier <= min(30, 2**number) for number, (earlier, later) in enumerate(pairwise(said_at)))
    assert now > 5


def test_what_is_never_answered_is_given_up() -> None:
    awaiting = Awaiting(timeout_seconds=10)
    request = an_order()
    awaiting.add(request, now=5)

    assert awaiting.give_up(14.9) == []
    assert awaiting.give_up(15) == [Result(request, None, 10)]
    assert not awaiting


def test_what_is_given_up_before_it_is_repeated_is_given_up_in_time() -> None:
    awaiting = Awaiting(timeout_seconds=0.1)
    awaiting.add(an_order(), now=5)
    awaiting.due_requests(5)

    assert awaiting.next_at() == 5.1


def test_what_is_under_way_can_be_told_at_any_time() -> None:
    awaiting = Awaiting(timeout_seconds=10)
    first, second, other = an_order(), a_cancel(), an_order(order_id=str(uuid4()))
    for number, request in enumerate([first, first, second, other]):
        awaiting.add(request, now=number)
    awaiting.receive(told(PLACED.model_copy(update={"order_id": other.order_id})), now=4)

    assert awaiting.unanswered(5) == [Result(first, None, 5), Result(second, None, 3)]


def test_outcomes_of_others_answer_nothing() -> None:
    awaiting = Awaiting(timeout_seconds=10)
    awaiting.add(an_order(order_id=str(uuid4())), now=0)

    assert awaiting.receive(told(PLACED), 1) == []
    rejected = RequestRejected(order_id=ORDER, request_message_id=uuid4(), reason="conflict")
    assert awaiting.receive(told(rejected), 1) == []
    assert len(awaiting) == 1


def test_a_rejection_answers_the_request_it_names() -> None:
    awaiting = Awaiting(timeout_seconds=10)
    request = an_order()
    awaiting.add(request, now=0)
    rejected = RequestRejected(request_message_id=request.request.message_id, reason="malformed")

    assert awaiting.receive(told(rejected), 1) == [Result(request, rejected, 1)]


def test_a_cancel_is_answered_by_not_placed_only() -> None:
    awaiting = Awaiting(timeout_seconds=10)
    awaiting.add(an_order(), now=0)
    awaiting.add(a_cancel(), now=0)

    assert [type(result.asked.request.message) for result in awaiting.receive(told(PLACED), 1)] == [OrderRequested]
    assert [type(result.asked.request.message) for result in awaiting.receive(told(NOT_PLACED), 1)] == [CancelOrder]


def test_not_placed_answers_the_order_and_its_cancel() -> None:
    awaiting = Awaiting(timeout_seconds=10)
    awaiting.add(an_order(), now=0)
    awaiting.add(a_cancel(), now=0)

    assert len(awaiting.receive(told(NOT_PLACED), 1)) == 2


def test_requests_about_one_order_wait_for_those_before_them() -> None:
    awaiting = Awaiting(timeout_seconds=10)
    requests = [an_order(zone=zone) for zone in ("north", "south", "east")]
    for request in requests:
        awaiting.add(request, now=0)
    assert len(awaiting) == 3

    for now, request in enumerate(requests):
        assert awaiting.due_requests(now) == [request.request]
        awaiting.receive(told(PLACED, causation_id=request.request.message_id), now)

    assert not awaiting


@pytest.fixture
def awaiting_second() -> tuple[Awaiting, Asked]:
    """The first of two requests about an order was answered after a second."""
    awaiting, second = Awaiting(timeout_seconds=10), an_order(zone="south")
    awaiting.add(an_order(), now=0)
    awaiting.add(second, now=0)
    awaiting.receive(told(PLACED), 1)
    return awaiting, second


def test_a_late_word_about_the_first_request_does_not_answer_the_second(
    awaiting_second: tuple[Awaiting, Asked],
) -> None:
    awaiting, second = awaiting_second

    assert awaiting.receive(told(PLACED, causation_id=uuid4()), 2) == []
    assert awaiting.receive(told(PLACED, causation_id=second.request.message_id), 3) == [Result(second, PLACED, 2)]


def test_nor_does_it_if_the_second_comes_once_the_first_is_answered() -> None:
    awaiting, second = Awaiting(timeout_seconds=10), an_order(zone="south")
    awaiting.add(an_order(), now=0)
    awaiting.receive(told(PLACED), 1)
    awaiting.add(second, now=2)

    assert awaiting.receive(told(PLACED), 3) == []
    conflict = RequestRejected(order_id=ORDER, request_message_id=second.request.message_id, reason="conflict")
    assert awaiting.receive(told(conflict), 4) == [Result(second, conflict, 2)]


def test_of_what_is_over_only_the_latest_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaiting_module, "REMEMBERED", 2)
    awaiting = Awaiting(timeout_seconds=10)
    for order_id in [ORDER, uuid4(), uuid4()]:
        awaiting.add(an_order(order_id=str(order_id)), now=0)
        awaiting.receive(told(PLACED.model_copy(update={"order_id": order_id})), 1)

    assert len(awaiting._over) == 2
    assert (ORDER, OrderRequested) not in awaiting._over


def test_a_second_request_is_answered_by_its_own_rejection(awaiting_second: tuple[Awaiting, Asked]) -> None:
    awaiting, second = awaiting_second
    conflict = RequestRejected(order_id=ORDER, request_message_id=second.request.message_id, reason="conflict")

    assert awaiting.receive(told(conflict), 3) == [Result(second, conflict, 2)]


def told(message: Message, causation_id: UUID | None = None) -> Outcome:
    return Outcome(message, causation_id)
