"""A field of an order is read within its bounds, and refused outside of them."""

import pytest

from tests.unit.document.documents import accepted, body, line, refused


@pytest.mark.parametrize("quantity", [1, 100])
def test_quantities_from_1_to_100_are_accepted(quantity: int) -> None:
    accepted(body(lines=[line(quantity=quantity)]))


@pytest.mark.parametrize("quantity", [0, -1, 101, True, "3", 3.0, None, 10**30, [3]])
def test_any_other_quantity_is_refused(quantity: object) -> None:
    read = refused(body(lines=[line(quantity=quantity)]))
    assert read.reason == "invalid"
    assert read.detail.startswith("lines.0.quantity: ")


def test_fifty_lines_are_accepted_and_no_more() -> None:
    accepted(body(lines=[line(f"sku-{number}") for number in range(50)]))
    assert refused(body(lines=[line(f"sku-{number}") for number in range(51)])).reason == "invalid"
    assert refused(body(lines=[])).reason == "invalid"


def test_a_sku_may_not_stand_in_two_lines() -> None:
    read = refused(body(lines=[line("milk"), line("bread"), line("milk")]))
    assert read.reason == "invalid"
    assert "one line only" in read.detail


@pytest.mark.parametrize("text", ["", " milk", "mi\nlk", "milk\n", "x" * 65, "ẞ", "../etc", "\u202e"])
def test_an_identifier_that_could_harm_a_log_or_a_file_is_refused(text: str) -> None:
    assert refused(body(store_id=text)).reason == "invalid"


@pytest.mark.parametrize("deadline", ["2030-01-01T12:00:00", 1_900_000_000, "soon", ""])
def test_a_deadline_names_its_time_zone(deadline: object) -> None:
    assert refused(body(deadline=deadline)).reason == "invalid"
    accepted(body(deadline="2030-01-01T12:00:00Z"))
