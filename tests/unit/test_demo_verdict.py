"""When the demo says that all is well."""

import json
from typing import Any
from uuid import UUID

from deploy.demo.__main__ import _judge
from deploy.demo.conversation import Conversation
from deploy.demo.script import Line, step_of
from messages.contracts.order import OrderNotPlaced, OrderPlaced
from order_saga.inspection.audit import Report
from order_saga.inspection.snapshot import Finding

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
    assert f"order {ORDER_ID} was told different outcomes" in capsys.readouterr().out


def test_a_finding_spoils_it(capsys):
    finding = Finding("I2", "a packet belongs to two orders", order_id=ORDER_ID)
    assert not _judge(conversation(PLACED), Report(findings=(finding,), orders=1))
    assert f"I2  {ORDER_ID}  a packet belongs to two orders" in capsys.readouterr().out


def conversation(*outcomes):
    """An order that is expected to be placed, and what is heard of it."""
    order: dict[str, Any] = {
        "order_id": str(ORDER_ID),
        "customer_id": "ada",
        "store_id": "campus",
        "zone": "centre",
        "expect": ["placed"],
    }
    order["lines"] = [{"sku": "milk", "quantity": 1, "price_cents": 129}]
    held = Conversation()
    line = step_of(1, json.dumps(order).encode())
    assert isinstance(line, Line)
    held.say(line, 1.0)
    for outcome in outcomes:
        held.hear(outcome, 2.0)
    return held
