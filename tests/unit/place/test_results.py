"""A result is a line for people, an object for machines, and counts in the exit code."""

import io
import json

import pytest

from messages.contracts.message import Message
from messages.contracts.order import OrderNotPlaced, RequestRejected
from order_saga.client.awaiting import Result
from order_saga.client.progress import Progress
from order_saga.client.telling import Telling, fields, line
from tests.unit.place.requests import NOT_PLACED, ORDER, PLACED, a_cancel, an_order

ASK_AGAIN = "ask again with the same order id"


@pytest.mark.parametrize(
    ("result", "is_success"),
    [
        (Result(an_order(), PLACED, 1), True),
        (Result(an_order(), NOT_PLACED, 1), False),
        (Result(an_order(), None, 1), False),
        (Result(a_cancel(), NOT_PLACED, 1), True),
        (Result(a_cancel(), RequestRejected(reason="too_late"), 1), False),
    ],
    ids=["placed", "not placed", "unanswered", "cancelled", "cancelled too late"],
)
def test_who_got_what_was_asked_for_is_pleased(result: Result, is_success: bool) -> None:
    assert result.is_success is is_success


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (PLACED, f"placed      {ORDER}  2 packets P-1 P-2, agent A-1"),
        (NOT_PLACED, f"not placed  {ORDER}  out_of_stock (store)"),
        (OrderNotPlaced(order_id=ORDER, reason="cancelled"), f"not placed  {ORDER}  cancelled"),
        (
            RequestRejected(reason="conflict", detail="other content"),
            f"rejected    {ORDER}  conflict: other content (line 1)",
        ),
        (None, f"unanswered  {ORDER}  no outcome within 7 s (line 1); it may still be placed: {ASK_AGAIN}"),
    ],
    ids=["placed", "not placed", "cancelled", "rejected", "unanswered"],
)
def test_an_answer_is_a_line_for_people(message: Message | None, expected: str) -> None:
    assert line(Result(an_order(), message, 7)) == expected


def test_what_may_still_come_of_a_cancellation_is_told_too() -> None:
    assert line(Result(a_cancel(), None, 7)).endswith(f"; it may still be cancelled: {ASK_AGAIN}")


def test_an_answer_is_an_object_for_machines() -> None:
    request = an_order()

    assert fields(Result(request, NOT_PLACED, 0.25)) == {
        "line": 1,
        "request": "OrderRequested",
        "message_id": str(request.request.message_id),
        "order_id": str(ORDER),
        "outcome": "not_placed",
        "seconds": 0.25,
        "participant": "store",
        "reason": "out_of_stock",
    }
    assert json.dumps(fields(Result(request, PLACED, 0.25)))


@pytest.mark.parametrize(
    ("messages", "exit_code"),
    [([], 0), ([PLACED, PLACED], 0), ([NOT_PLACED, PLACED], 1), ([None, NOT_PLACED], 3)],
    ids=["nothing", "all placed", "one not placed", "one unanswered"],
)
def test_the_exit_code_tells_the_worst(messages: list[Message | None], exit_code: int) -> None:
    telling = Telling(Progress(None, io.StringIO()), as_json=True)
    for message in messages:
        telling.tell(Result(an_order(), message, 1))

    assert telling.exit_code == exit_code
