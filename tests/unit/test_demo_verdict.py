"""When the demo says that all is well."""

import json
from typing import Any
from uuid import UUID

import pytest

from deploy.demo.__main__ import _help, _judge
from deploy.demo.catalogue import Catalogue
from deploy.demo.conversation import Conversation
from deploy.demo.script import Line, step_of
from messages.contracts.order import OrderNotPlaced, OrderPlaced
from order_saga.inspection.audit import Report
from order_saga.inspection.evidence import Finding

CLEAN = Report(findings=(), orders=1)
ORDER_ID = UUID(int=1)
PLACED = OrderPlaced(order_id=ORDER_ID, packet_ids=("milk-1",), agent_id="centre-1")
SOLD_OUT = OrderNotPlaced(order_id=ORDER_ID, participant="store", reason="out_of_stock")


def test_all_is_well_if_every_answer_is_as_expected_and_the_audit_is_clean(capsys):
    assert _judge(conversation(PLACED), CLEAN)
    assert capsys.readouterr().out.splitlines() == ["1 of 1 answers as expected.", "Audit: clean: 1 order."]


def test_an_unexpected_answer_spoils_it():
    assert not _judge(conversation(SOLD_OUT), CLEAN)


def test_two_outcomes_for_one_order_spoil_it(capsys):
    assert not _judge(conversation(PLACED, SOLD_OUT), CLEAN)
    assert f"order {ORDER_ID} got different outcomes" in capsys.readouterr().out


def test_a_finding_spoils_it(capsys):
    finding = Finding("I2", "a packet belongs to two orders", order_id=ORDER_ID)
    assert not _judge(conversation(PLACED), Report(findings=(finding,), orders=1))
    assert f"I2  order {ORDER_ID}  a packet belongs to two orders" in capsys.readouterr().out


def test_of_orders_without_expectations_the_answers_are_counted(capsys):
    assert _judge(conversation(PLACED, expect=()), CLEAN)
    assert capsys.readouterr().out.splitlines()[0] == "1 answer."


def test_a_line_that_nobody_answers_spoils_it_whatever_is_expected(capsys):
    unanswered = conversation(expect=())
    unanswered.give_up(now=100.0, seconds=30.0)
    assert not _judge(unanswered, CLEAN)
    assert capsys.readouterr().out.splitlines()[0] == "0 of 1 lines answered."


@pytest.mark.parametrize(("placed", "is_good"), [(0, False), (1, False), (2, True), (3, False)])
def test_of_orders_that_compete_as_many_are_placed_as_there_are_units_for(capsys, placed, is_good):
    competing = Conversation()
    for number in range(1, 5):
        expect = {"expect": ["placed", "out_of_stock"], "group": {"name": "truffle", "placed": 2}}
        say(competing, UUID(int=number), **expect)
        say(competing, UUID(int=number), **expect)
        outcome = PLACED if number <= placed else SOLD_OUT
        competing.hear(outcome.model_copy(update={"order_id": UUID(int=number)}), 2.0)
    assert _judge(competing, CLEAN) is is_good
    assert (f"truffle: {placed} orders placed, expected: 2" in capsys.readouterr().out) is not is_good


@pytest.mark.parametrize("expect", [(), ("unknown_sku",)])
def test_who_orders_what_there_is_not_hears_what_there_is_unless_that_was_meant(capsys, expect):
    nothing = OrderNotPlaced(order_id=ORDER_ID, participant="store", reason="unknown_sku")
    _help(conversation(nothing, expect=expect).answers, Catalogue.read())
    told = capsys.readouterr().out
    assert ("stores: campus, harbour" in told) == ("zones: centre, north" in told) == (not expect)


def conversation(*outcomes, expect=("placed",)):
    """An order, and what is heard of it."""
    held = Conversation()
    say(held, ORDER_ID, expect=expect)
    for outcome in outcomes:
        held.hear(outcome, 2.0)
    return held


def say(conversation, order_id, **notes):
    order: dict[str, Any] = {"order_id": str(order_id), "customer_id": "ada", "store_id": "campus", "zone": "centre"}
    order["lines"] = [{"sku": "milk", "quantity": 1, "price_cents": 129}]
    line = step_of(1, json.dumps(order | notes).encode())
    assert isinstance(line, Line)
    conversation.say(line, 1.0)
