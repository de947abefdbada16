"""What an order is about is remembered exactly, and tells whether a request is the same."""

import json
from datetime import timedelta
from pathlib import Path

from messages.contracts.order import Line, OrderRequested
from order_saga.content import canonical, fingerprint, from_canonical
from tests.unit.order_saga.orders import CUSTOMER, HAPPY, NOW, ORDER, PLACED, after, requested, tell


def test_neither_the_order_of_the_lines_nor_the_deadline_makes_another_order() -> None:
    lines = tuple(reversed(requested().lines))
    again = requested(lines=lines, deadline=NOW + timedelta(seconds=3))
    assert tell(after(*HAPPY), again).outgoing == ((PLACED, CUSTOMER),)


def test_what_an_order_is_about_is_remembered_exactly() -> None:
    order = requested(lines=(Line(sku="a", quantity=100, price_cents=0), Line(sku="b", quantity=1, price_cents=7)))
    assert from_canonical(ORDER, canonical(order)) == order


def test_every_field_of_an_order_and_of_its_lines_is_part_of_its_content() -> None:
    """But for the id and the deadline: what is missing is neither repeated to participants nor compared."""
    example = (Path(__file__).parents[1] / "examples" / "OrderRequested.json").read_text()
    content = json.loads(canonical(OrderRequested.model_validate_json(example)))
    assert content.keys() == OrderRequested.model_fields.keys() - {"order_id", "deadline"}
    assert {frozenset(line) for line in content["lines"]} == {frozenset(Line.model_fields)}


def test_an_order_without_later_fields_keeps_its_fingerprint() -> None:
    """It is kept for ever: with another one, a repeated request of an earlier release would be a conflict."""
    first_release = "d7bcb44b2fefad2986e161c614db30b05c2fceb43dc226f08905e43e2a2a06e1"
    assert fingerprint(canonical(requested())).hex() == first_release
