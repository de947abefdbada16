"""A message says by its name what it is, and by its fields what it is about."""

from messages.contracts.message import OrderMessage
from messages.contracts.participation import Answer, Assigned, Command
from messages.transport.incoming import Incoming
from tests.unit.contracts.examples import MESSAGES, read


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
    told = {}
    for name in (name for name, kind in MESSAGES.items() if issubclass(kind, Assigned)):
        heard = read(name)
        assert isinstance(heard, Incoming)
        assert isinstance(heard.message, Assigned)
        told[name] = heard.message.unit_ids

    assert told == {"PacketsAssigned": ("P-1001", "P-1002", "P-2001"), "AgentAssigned": ("A-7",)}
