"""The definitions for a production broker: the topology, and users with minimal permissions.

`python -m deploy.definitions > deploy/definitions.json` writes the development file, whose passwords are public.
`--passwords FILE`, a JSON object with the password of each user, writes one for production. An import sets the password
of each user in the file; `--keep-passwords` writes none, for a running broker that has its users.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from deploy import limits
from deploy.passwords import DEVELOPMENT_PASSWORD, development_salt, hashed, random_salt, read
from deploy.services import SERVICES
from messages.contracts.delivery import AgentCameOnline, AgentWentOffline
from messages.contracts.message import Message
from messages.contracts.order import CancelOrder, DeliveryCompleted, OrderRequested
from messages.contracts.store import PacketsWithdrawn, StockReceived
from messages.transport.addresses import ANSWERS, COMMANDS, OUTCOMES, REQUESTS
from messages.transport.service import Service
from messages.transport.topology import Topology, topology_of

VHOST = "saga"
NOTHING = "^$"
REQUESTS_OF: Mapping[str, tuple[type[Message], ...]] = {
    "customer": (OrderRequested, CancelOrder),
    "supplier": (StockReceived, PacketsWithdrawn),
    "fleet": (AgentCameOnline, AgentWentOffline, DeliveryCompleted),
}
"""Client -> the requests it may publish: every message from outside belongs to one of them."""

DEVELOPMENT = "; its users' passwords are for development only."
PRODUCTION = " --passwords; its users' passwords are those of that file."
KEEPING = " --keep-passwords; an import leaves users and their passwords as they are."


@dataclass(frozen=True, slots=True)
class User:
    """Permissions: regular expressions for the names of exchanges and queues, and for the routing keys of requests."""

    name: str
    configure: str = NOTHING
    write: str = NOTHING
    read: str = NOTHING
    requests: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def is_client(self) -> bool:
        return self.requests is not None


@click.command()
@click.option("--passwords", "file", type=click.File("rb"), help="For production: a JSON object of user to password.")
@click.option("--keep-passwords", is_flag=True, help="For a running broker: leave its users as they are.")
def main(file: Any, keep_passwords: bool) -> None:
    """Print the definitions that RabbitMQ imports, at its start or while it runs."""
    if file and keep_passwords:
        raise click.UsageError("give --passwords or --keep-passwords, not both")
    services = all_services()
    if keep_passwords:
        click.echo(written(services, KEEPING))
    elif file:
        names = {user.name for user in users(services)}
        click.echo(written(services, PRODUCTION, hashed(read(file, names), random_salt)))
    else:
        click.echo(for_development(services))


def for_development(services: Sequence[Service]) -> str:
    passwords = {user.name: DEVELOPMENT_PASSWORD for user in users(services)}
    return written(services, DEVELOPMENT, hashed(passwords, development_salt))


def written(services: Sequence[Service], explanation: str, hashes: Mapping[str, str] | None = None) -> str:
    """The definitions file, with the hash of each user's password; None: without users."""
    header = {"explanation": f"Written by python -m deploy.definitions{explanation}"}
    return json.dumps(header | definitions(services, hashes), indent=2)


def all_services() -> list[Service]:
    """The services of the system, with settings that do not name a broker."""
    return [make(settings(database_url="postgresql://nowhere")) for settings, make in SERVICES.values()]


def users(services: Sequence[Service]) -> list[User]:
    """One per service, and one each for customers, suppliers, fleets and monitoring."""
    return [
        *(_service_user(service.name, topology_of([service])) for service in services),
        *(_client(name, kinds) for name, kinds in REQUESTS_OF.items()),
        User("monitoring", tags=("monitoring",)),
    ]


def _service_user(name: str, own: Topology) -> User:
    exchanges = (COMMANDS, OUTCOMES) if _consumes_answers(own) else (ANSWERS,)
    return User(name, write=_only(exchanges), read=_only(queue.name for queue in own.queues))


def _client(name: str, kinds: Iterable[type[Message]]) -> User:
    """May publish these requests, and receive outcomes in queues that it declares.

    The patterns match exchanges as well; our services refuse what a client publishes through its own exchange.
    """
    own = rf"{OUTCOMES}\.{re.escape(name)}\..+"
    return User(
        name,
        configure=f"^{own}$",
        write=f"^({REQUESTS}|{own})$",  # binding a queue requires write permission on it
        read=f"^({OUTCOMES}|{own})$",
        requests=_only(kind.routing_key() for kind in kinds),
    )


def _consumes_answers(own: Topology) -> bool:
    return any(binding.exchange == ANSWERS for binding in own.bindings)


def _only(names: Iterable[str]) -> str:
    return f"^({'|'.join(re.escape(name) for name in sorted(names))})$"


def definitions(services: Sequence[Service], hashes: Mapping[str, str] | None) -> dict[str, Any]:
    """In the format of RabbitMQ's `definitions.local.path`."""
    known = users(services)
    return {
        "vhosts": [{"name": VHOST}],
        **({"users": [_credentials(user, hashes[user.name]) for user in known]} if hashes else {}),
        "permissions": [
            {"user": each.name, "vhost": VHOST, "configure": each.configure, "write": each.write, "read": each.read}
            for each in known
        ],
        "topic_permissions": [
            {"user": each.name, "vhost": VHOST, "exchange": REQUESTS, "write": each.requests, "read": NOTHING}
            for each in known
            if each.is_client
        ],
        "parameters": limits.parameters(VHOST),
        "policies": limits.policies(VHOST, [service.name for service in services]),
        **_declared(topology_of(services)),
    }


def _declared(topology: Topology) -> dict[str, Any]:
    return {
        "exchanges": [
            {"name": each.name, "vhost": VHOST, "type": each.kind, "arguments": {}, **_KEPT}
            for each in topology.exchanges
        ],
        "queues": [
            {"name": each.name, "vhost": VHOST, "arguments": dict(each.arguments), **_KEPT} for each in topology.queues
        ],
        "bindings": [
            {
                "source": each.exchange,
                "vhost": VHOST,
                "destination": each.queue,
                "destination_type": "queue",
                "routing_key": each.key,
                "arguments": {},
            }
            for each in topology.bindings
        ],
    }


_KEPT = {"durable": True, "auto_delete": False}


def _credentials(user: User, hashed: str) -> dict[str, Any]:
    algorithm = "rabbit_password_hashing_sha256"
    named = {"name": user.name, "password_hash": hashed, "hashing_algorithm": algorithm, "tags": list(user.tags)}
    return named | ({"limits": dict(limits.CLIENT_LIMITS)} if user.is_client else {})


if __name__ == "__main__":
    main()
