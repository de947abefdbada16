"""Every message travels as its kept example says.

An example that has to be changed is a change that clients and running services notice: give the message a new version.
"""

import json
from uuid import UUID

import pytest
from pydantic import ValidationError

from messages.contracts.message import OrderMessage
from messages.transport.addresses import Address
from messages.transport.document import encode
from messages.transport.handled import Outgoing
from messages.transport.incoming import Incoming
from tests.unit.contracts.examples import EXAMPLES, MESSAGES, METADATA, example, read


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
def test_a_message_cannot_be_changed(name: str) -> None:
    heard = read(name)
    assert isinstance(heard, Incoming)

    with pytest.raises(ValidationError, match="frozen"):
        setattr(heard.message, next(iter(type(heard.message).model_fields)), None)
