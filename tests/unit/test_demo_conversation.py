"""Which line of the demo's script an outcome answers."""

import json
from uuid import UUID

import pytest

from deploy.demo.conversation import Conversation
from deploy.demo.script import Deed, Line, step_of
from messages.contracts.order import OrderNotPlaced, OrderPlaced, RequestRejected

ORDER_ID = UUID(int=1)
ORDER = {
    "order_id": str(ORDER_ID),
    "customer_id": "ada",
    "store_id": "campus",
    "zone": "centre",
    "lines": [{"sku": "milk", "quantity": 1, "price_cents": 129}],
}
CANCEL = {"type": "CancelOrder/1.0", "message_id": str(UUID(int=9)), "order_id": str(ORDER_ID)}
PLACED = OrderPlaced(order_id=ORDER_ID, packet_ids=("milk-1",), agent_id="centre-1")
SOLD_OUT = OrderNotPlaced(order_id=ORDER_ID, participant="store", reason="out_of_stock")


def test_an_outcome_answers_all_who_asked_for_the_same_order():
    conversation, first, again = said(ORDER, ORDER)
    assert [answer.line for answer in conversation.hear(PLACED, 2.0)] == [first, again]
    assert conversation.open == 0


def test_an_outcome_does_not_answer_who_asked_for_something_else_under_the_same_id():
    conversation, first, _ = said(ORDER, ORDER | {"customer_id": "mallory"})
    assert [answer.line for answer in conversation.hear(PLACED, 2.0)] == [first]


def test_a_rejection_answers_the_message_it_names_and_no_other():
    conversation, _, other = said(ORDER, ORDER | {"customer_id": "mallory"})
    rejected = RequestRejected(order_id=ORDER_ID, request_message_id=other.message_id, reason="conflict")
    assert [answer.line for answer in conversation.hear(rejected, 2.0)] == [other]


def test_that_an_order_is_not_placed_answers_who_cancelled_it_but_that_it_is_placed_does_not():
    conversation, order, cancel = said(ORDER, CANCEL)
    assert [answer.line for answer in conversation.hear(PLACED, 2.0)] == [order]
    conversation, order, cancel = said(ORDER, CANCEL)
    assert [answer.line for answer in conversation.hear(SOLD_OUT, 2.0)] == [order, cancel]


def test_an_order_that_is_told_two_outcomes_is_a_contradiction():
    conversation, _ = said(ORDER)
    conversation.hear(PLACED, 2.0)
    conversation.hear(PLACED, 3.0)
    assert conversation.contradictions == []
    conversation.hear(SOLD_OUT, 4.0)
    assert conversation.contradictions == [ORDER_ID]


def test_who_waits_too_long_is_unanswered():
    conversation, _ = said(ORDER)
    assert conversation.give_up(now=30.9, seconds=30.0) == []
    (answer,) = conversation.give_up(now=31.1, seconds=30.0)
    assert (answer.word, answer.is_expected) == ("unanswered", False)


def test_a_line_that_is_nested_too_deeply_for_a_parser_is_sent_all_the_same():
    body = b"[" * 100_000
    line = step_of(1, body)
    assert isinstance(line, Line)
    assert (line.body, line.message) == (body, None)


@pytest.mark.parametrize(("expect", "is_expected"), [([], True), (["placed", "no_agent"], True), (["no_agent"], False)])
def test_any_answer_will_do_where_nothing_is_expected(expect, is_expected):
    conversation, _ = said(ORDER | {"expect": expect})
    (answer,) = conversation.hear(PLACED, 2.0)
    assert answer.is_expected is is_expected


def test_what_a_line_tells_the_demo_is_not_said_to_the_services():
    line = step(ORDER | {"expect": ["placed"], "about": "milk", "group": {"name": "milk", "placed": 3}})
    assert (line.expected, line.about, line.group) == ({"placed"}, "milk", ("milk", 3))
    assert not {"expect", "about", "group"} & json.loads(line.body).keys()


def test_text_that_is_no_document_is_said_as_it_stands():
    line = step_of(1, b"milk, please")
    assert isinstance(line, Line)
    assert line.body == b"milk, please"
    assert step({"raw": "\u00ff"}).body == b"\xff"


def test_a_line_may_do_something_instead():
    assert step({"do": "stall"}) is Deed.STALL


def said(*documents):
    conversation = Conversation()
    lines = [step(document) for document in documents]
    for line in lines:
        conversation.say(line, 1.0)
    return conversation, *lines


def step(document):
    return step_of(1, json.dumps(document).encode())
