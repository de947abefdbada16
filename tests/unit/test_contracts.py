"""Every message travels as its kept example says, and readers outlive later minor versions, but no other major one.

An example that has to be changed is a change that clients and running services notice: give the message a new version.
"""

import json
import pkgutil
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from messages import contracts
from messages.contracts.delivery import AgentAssigned
from messages.contracts.message import Message, OrderMessage
from messages.contracts.order import OrderRequested
from messages.contracts.participation import Answer, Assigned, Command
from messages.contracts.store import PacketsAssigned
from messages.transport.addresses import Address
from messages.transport.document import Reader, encode
from messages.transport.handled import Outgoing
from messages.transport.incoming import Incoming, Malformed

EXAMPLES = Path(__file__).parent / "examples"
METADATA = ("type", "message_id", "causation_id", "traceparent")
for module in pkgutil.iter_modules(contracts.__path__):
    import_module(f"{contracts.__name__}.{module.name}")  # so that all messages are known


def travelling(kind: type[Message]) -> list[type[Message]]:
    """The messages that are said; the others are what they have in common. Other tests may derive their own."""
    children = [child for child in kind.__subclasses__() if child.__module__.startswith("messages.contracts.")]
    return [each for child in children for each in travelling(child)] if children else [kind]


MESSAGES = {kind.__name__: kind for kind in travelling(Message)}


def example(name: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text())
    return fields


def read(name: str, **changes: Any) -> Incoming | Malformed:
    return Reader([MESSAGES[name]]).read(json.dumps(example(name) | changes).encode())


def test_there_is_an_example_of_every_message_and_of_nothing_else() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.json")} == MESSAGES.keys()


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_an_example_has_every_field_that_its_message_can_have(name: str) -> None:
    inherited = set() if issubclass(MESSAGES[name], OrderMessage) else {"order_id"}
    assert MESSAGES[name].model_fields.keys() - inherited <= example(name).keys()


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_an_example_is_read(name: str) -> None:
    heard = read(name)

    assert isinstance(heard, Incoming), heard
    assert type(heard.message) is MESSAGES[name]
    assert heard.message_id == UUID(example(name)["message_id"])
    assert heard.traceparent == example(name)["traceparent"]


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_message_is_written_as_its_example_says(name: str) -> None:
    heard = read(name)
    assert isinstance(heard, Incoming)

    written = json.loads(encode(Outgoing(heard.message, Address("requests", heard.message.routing_key()), cause=heard)))

    assert {field: written[field] for field in written if field not in METADATA} == {
        field: value for field, value in example(name).items() if field not in METADATA
    }
    assert written["type"] == example(name)["type"]
    assert written["causation_id"] == example(name)["message_id"]
    assert written["traceparent"][:35] == example(name)["traceparent"][:35]
    assert written.keys() >= example(name).keys()


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_fields_of_a_later_minor_version_are_tolerated(name: str) -> None:
    later = read(name, type=f"{name}/1.7", brought_by={"a later": ["version"]})

    now = read(name)
    assert isinstance(later, Incoming)
    assert isinstance(now, Incoming)
    assert later.message == now.message


@pytest.mark.parametrize("name", sorted(MESSAGES))
@pytest.mark.parametrize("major", ["0", "2", "11"])
def test_another_major_version_is_not_understood(name: str, major: str) -> None:
    heard = read(name, type=f"{name}/{major}.0")

    assert isinstance(heard, Malformed)
    assert heard.reason == "unknown_version"
    assert heard.order_id == (UUID(example(name)["order_id"]) if "order_id" in example(name) else None)


@pytest.mark.parametrize(
    ("name", "field"),
    [(name, field) for name in sorted(MESSAGES) for field in example(name) if field not in METADATA],
)
def test_a_field_of_another_kind_is_refused(name: str, field: str) -> None:
    heard = read(name, **{field: {"of": "another kind"}})

    assert isinstance(heard, Malformed)
    assert heard.reason == "invalid"
    assert field in heard.detail


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_message_cannot_be_changed(name: str) -> None:
    heard = read(name)
    assert isinstance(heard, Incoming)

    with pytest.raises(ValidationError, match="frozen"):
        setattr(heard.message, next(iter(type(heard.message).model_fields)), None)


def test_every_message_about_an_order_says_which() -> None:
    without = {name for name, kind in MESSAGES.items() if not issubclass(kind, OrderMessage)}

    assert without == {"RequestRejected", "StockReceived", "PacketsWithdrawn", "AgentCameOnline", "AgentWentOffline"}


def test_commands_are_imperative_and_facts_past_tense() -> None:
    commands = {name for name, kind in MESSAGES.items() if issubclass(kind, Command)}
    answers = {name for name, kind in MESSAGES.items() if issubclass(kind, Answer)}

    assert [name for name in commands if not name.startswith(_base(name))] == []
    assert [name for name in answers if not name.endswith(_base(name))] == []


def _base(name: str) -> str:
    """`Reserve` of ReservePackets."""
    return MESSAGES[name].__bases__[0].__name__


def test_whoever_assigns_tells_which_units() -> None:
    packets, agent = read("PacketsAssigned"), read("AgentAssigned")
    assert isinstance(packets, Incoming)
    assert isinstance(packets.message, PacketsAssigned)
    assert isinstance(agent, Incoming)
    assert isinstance(agent.message, AgentAssigned)

    assert packets.message.unit_ids == ("P-1001", "P-1002", "P-2001")
    assert agent.message.unit_ids == ("A-7",)
    assert all(issubclass(kind, Assigned) for kind in (PacketsAssigned, AgentAssigned))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"lines": []}, "lines"),
        ({"lines": [{"sku": "milk", "quantity": 0, "price_cents": 1}]}, "lines.0.quantity"),
        ({"lines": [{"sku": "milk", "quantity": 101, "price_cents": 1}]}, "lines.0.quantity"),
        ({"lines": [{"sku": "milk", "quantity": 1.0, "price_cents": 1}]}, "lines.0.quantity"),
        ({"lines": [{"sku": "milk", "quantity": True, "price_cents": 1}]}, "lines.0.quantity"),
        ({"lines": [{"sku": "milk", "quantity": 1, "price_cents": -1}]}, "lines.0.price_cents"),
        ({"lines": [{"sku": "milk", "quantity": 1, "price_cents": 1}] * 2}, "a sku may appear in one line only"),
        ({"lines": [{"sku": f"s{n}", "quantity": 1, "price_cents": 1} for n in range(51)]}, "lines"),
        ({"deadline": "2030-05-01T12:00:10"}, "deadline"),
        ({"deadline": 1_900_000_000}, "deadline"),
        ({"store_id": "north\n"}, "store_id"),
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
