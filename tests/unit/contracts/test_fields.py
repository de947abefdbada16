"""A message is refused for what is wrong with it, and only for that."""

import json
from typing import Any

import pytest

from messages.contracts.order import OrderRequested
from messages.transport.document import Reader
from messages.transport.incoming import Incoming, Malformed
from tests.unit.contracts.examples import MESSAGES, METADATA, example, read

LINE = {"sku": "milk", "quantity": 1, "price_cents": 1}
WRONG_QUANTITIES = (0, -1, 101, 1.0, 3.0, True, "3", None, 10**30, [3])
WRONG_TIMES = ("2030-05-01T12:00:10", 1_900_000_000, "soon", "")
WRONG_IDENTIFIERS = ("north\n", " north", "no\nrth", "x" * 65, "", "\u1e9e", "../etc", "\u202e")


@pytest.mark.parametrize(
    ("name", "field"),
    [(name, field) for name in sorted(MESSAGES) for field in example(name) if field not in METADATA],
)
def test_a_field_of_another_kind_is_refused(name: str, field: str) -> None:
    heard = read(name, **{field: {"of": "another kind"}})

    assert isinstance(heard, Malformed)
    assert heard.reason == "invalid"
    assert field in heard.detail


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        *(({"lines": [LINE | {"quantity": quantity}]}, "lines.0.quantity: ") for quantity in WRONG_QUANTITIES),
        *(({"deadline": time}, "deadline: ") for time in WRONG_TIMES),
        *(({"store_id": text}, "store_id: ") for text in WRONG_IDENTIFIERS),
        ({"lines": []}, "lines"),
        ({"lines": [LINE | {"price_cents": -1}]}, "lines.0.price_cents"),
        ({"lines": [LINE, LINE | {"sku": "bread"}, LINE]}, "a sku may appear in one line only"),
        ({"lines": [LINE | {"sku": f"s{n}"} for n in range(51)]}, "lines"),
        ({"zone": ""}, "zone"),
        ({"customer_id": "c" * 65}, "customer_id"),
        ({"order_id": "not a uuid"}, "order_id"),
    ],
)
def test_an_order_is_refused_for_what_is_wrong_with_it(changes: dict[str, Any], problem: str) -> None:
    heard = read("OrderRequested", **changes)

    assert isinstance(heard, Malformed)
    assert heard.reason == "invalid"
    assert problem in heard.detail


def test_an_order_may_have_fifty_lines_of_a_hundred_packets_and_no_deadline() -> None:
    fields = example("OrderRequested")
    del fields["deadline"]
    fields["lines"] = [{"sku": f"s{n}", "quantity": 100, "price_cents": 0} for n in range(50)]

    heard = Reader([OrderRequested]).read(json.dumps(fields).encode())

    assert isinstance(heard, Incoming), heard


@pytest.mark.parametrize("name", ["AgentCameOnline", "AgentWentOffline"])
@pytest.mark.parametrize("minor", ["1.0", "1.1"])
def test_a_word_about_an_agent_need_not_say_when(name: str, minor: str) -> None:
    fields = example(name) | {"type": f"{name}/{minor}"}
    del fields["at"]

    heard = Reader([MESSAGES[name]]).read(json.dumps(fields).encode())

    assert isinstance(heard, Incoming), heard
    assert heard.message.model_dump()["at"] is None


@pytest.mark.parametrize("name", ["AgentCameOnline", "AgentWentOffline"])
@pytest.mark.parametrize("time", ["2030-05-01T08:00:00", "2030-05-01", "", 1_900_000_000, True])
def test_a_word_about_an_agent_that_says_when_says_it_with_a_time_zone(name: str, time: object) -> None:
    heard = read(name, at=time)

    assert isinstance(heard, Malformed)
    assert heard.reason == "invalid"
    assert heard.detail.startswith("at: ")


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("StockReceived", "best_before"),
        ("OrderRequested", "deadline"),
        ("AgentCameOnline", "at"),
        ("AgentWentOffline", "at"),
    ],
)
@pytest.mark.parametrize("time", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
def test_a_time_that_no_database_can_keep_is_its_sender_s_fault(name: str, field: str, time: str) -> None:
    heard = read(name, **{field: time})

    assert isinstance(heard, Malformed)
    assert (heard.reason, heard.detail) == (
        "invalid",
        f"{field}: Value error, must lie in the years 1 to 9999 of UTC",
    )


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00-14:00", "9999-12-31T23:59:59Z"])
def test_any_time_that_a_database_can_keep_is_heard(time: str) -> None:
    assert isinstance(read("StockReceived", best_before=time), Incoming)
