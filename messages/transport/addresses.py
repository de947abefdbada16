"""Where messages go: the exchanges, and who is behind which key."""

from typing import NamedTuple

REQUESTS = "requests"
"""Topic exchange, written by clients: one document a message."""
OUTCOMES = "outcomes"
"""Topic exchange, read by clients: one document a message."""
COMMANDS = "commands"
"""Direct exchange from the orchestrator to the participants; the key is the queue."""
ANSWERS = "answers"
"""Direct exchange from the participants to the orchestrator; the key is the queue."""
DEAD_LETTERS = "dead_letters"
"""Direct exchange, written by the broker."""


class Address(NamedTuple):
    """Where a message goes. What goes to `outcomes` travels one document a message, the rest in envelopes."""

    exchange: str
    key: str


def queue_name(service_name: str, queue: str) -> str:
    """`store_worker.reserve`."""
    return f"{service_name}.{queue}"


def dead_queue(service_name: str) -> str:
    """`store_worker.dead`: what the broker gave up delivering to the service, until it is parked."""
    return queue_name(service_name, "dead")
