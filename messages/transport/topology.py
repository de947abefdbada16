"""Every exchange, queue and binding, derived from what the services handle. The definitions file is made from it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from messages.contracts.message import Message
from messages.contracts.participation import Command
from messages.transport.addresses import ANSWERS, COMMANDS, DEAD_LETTERS, OUTCOMES, REQUESTS, dead_queue, queue_name
from messages.transport.service import Service

DELIVERY_LIMIT = 100
MAX_MESSAGES = 1_000_000
LISTENER_EXPIRES_SECONDS = 600

Arguments: TypeAlias = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange."""

    name: str
    kind: Literal["topic", "direct"]


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue; `arguments` are RabbitMQ's own, and cannot be changed once it exists."""

    name: str
    arguments: Arguments


@dataclass(frozen=True, slots=True)
class Binding:
    """What is published to `exchange` under `key` reaches `queue`."""

    exchange: str
    key: str
    queue: str


@dataclass(frozen=True, slots=True)
class Topology:
    """What has to exist in a broker, in the order in which it can be declared."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]


EXCHANGES = (
    Exchange(REQUESTS, "topic"),
    Exchange(OUTCOMES, "topic"),
    Exchange(COMMANDS, "direct"),
    Exchange(ANSWERS, "direct"),
    Exchange(DEAD_LETTERS, "direct"),
)


def topology_of(services: Sequence[Service]) -> Topology:
    """All exchanges, and of each service its queues, its dead letters and their bindings."""
    queues = [queue for service in services for queue in _queues(service)]
    bindings = [binding for service in services for binding in _bindings(service)]
    return Topology(EXCHANGES, tuple(queues), tuple(dict.fromkeys(bindings)))


def listener(name: str, *, expires_seconds: int = LISTENER_EXPIRES_SECONDS) -> Topology:
    """A client's own queue of outcomes. The broker removes it once unused for `expires_seconds`.

    It declares no exchange: a client may not declare those of the services, and what it publishes through one of its
    own making is parked as forbidden.
    """
    queue = f"{OUTCOMES}.{name}"
    arguments: Arguments = {"x-queue-type": "classic", "x-expires": expires_seconds * 1000}
    return Topology((), (Queue(queue, arguments),), (Binding(OUTCOMES, "#", queue),))


def _queues(service: Service) -> Iterator[Queue]:
    dead = dead_queue(service.name)
    for queue in service.queues:
        yield Queue(queue_name(service.name, queue), _working(dead))
    yield Queue(dead, _LAST_RESORT)


def _working(dead: str) -> Arguments:
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": DEAD_LETTERS,
        "x-dead-letter-routing-key": dead,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",  # at-least-once dead-lettering needs it, and drop-head loses silently
        "x-max-length": MAX_MESSAGES,
    }


_LAST_RESORT: Arguments = {
    "x-queue-type": "quorum",
    # A dead letter has nowhere to go from here, and without a limit of its own RabbitMQ 4 drops it at 20.
    "x-delivery-limit": 1_000_000_000,
    "x-overflow": "reject-publish",
    "x-max-length": MAX_MESSAGES,
}


def _bindings(service: Service) -> Iterator[Binding]:
    for message, short_name in service.handlers.items():
        queue = queue_name(service.name, short_name)
        exchange = _exchange(message)
        yield Binding(exchange, message.routing_key() if exchange == REQUESTS else queue, queue)
    dead = dead_queue(service.name)
    yield Binding(DEAD_LETTERS, dead, dead)


def _exchange(message: type[Message]) -> str:
    if message.FROM_OUTSIDE:
        return REQUESTS
    # An outcome that a service receives comes from the orchestrator, like a command.
    return COMMANDS if issubclass(message, Command) or message.TO_OUTSIDE else ANSWERS
