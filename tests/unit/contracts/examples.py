"""The kept example of every message."""

import json
import pkgutil
from importlib import import_module
from pathlib import Path
from typing import Any

from messages import contracts
from messages.contracts.message import Message
from messages.transport.document import Reader
from messages.transport.incoming import Incoming, Malformed

EXAMPLES = Path(__file__).parents[1] / "examples"
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
