"""The definitions for a production broker: the topology, and users with no more rights than their work needs.

`python -m deploy.definitions > deploy/definitions.json` writes the development file, whose passwords are public.
`--passwords FILE`, a JSON object with the password of each user, writes one for production. An import sets the password
of each user that it names; `--keep-passwords` names none, for a broker that has them.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

import delivery_worker.service
import delivery_worker.settings
import order_saga.service
import order_saga.settings
import store_worker.service
import store_worker.settings
from deploy.passwords import DEVELOPMENT_PASSWORD, development_salt, hashed, random_salt, read
from messages.transport.addresses import ANSWERS, COMMANDS, OUTCOMES, REQUESTS
from messages.transport.service import Service
from messages.transport.topology import Topology, topology_of

VHOST = "saga"
NOTHING = "^$"
OUTCOME_QUEUES = rf"{OUTCOMES}\..+"
ABSENT_CLIENT_SECONDS = 600
OUTCOMES_KEPT = 100_000

DEVELOPMENT = "; its users' passwords are for development only."
PRODUCTION = " --passwords; its users' passwords are those of that file."
KEEPING = " --keep-passwords; an import leaves users and their passwords as they are."


@dataclass(frozen=True, slots=True)
class User:
    """Regular expressions over the names of exchanges and queues, and over the keys of requests."""

    name: str
    configure: str = NOTHING
    write: str = NOTHING
    read: str = NOTHING
    requests: str | None = None
    tags: tuple[str, ...] = ()


@click.command()
@click.option("--passwords", "file", type=click.File("rb"), help="For production: a JSON object, user to password.")
@click.option("--keep-passwords", is_flag=True, help="For a broker that runs: all but the users, who stay as they are.")
def main(file: Any, keep_passwords: bool) -> None:
    """Print the definitions that RabbitMQ imports, at its start or while it runs."""
    if file and keep_passwords:
        raise click.UsageError("either --passwords or --keep-passwords")
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
    told = {"explanation": f"Written by python -m deploy.definitions{explanation}"}
    return json.dumps(told | definitions(topology_of(services), users(services), hashes), indent=2)


def all_services() -> list[Service]:
    """The services of the system, with settings that say nothing about the broker."""
    nowhere: Any = "postgresql://nowhere"
    return [
        order_saga.service.service(order_saga.settings.Settings(database_url=nowhere)),
        store_worker.service.service(store_worker.settings.Settings(database_url=nowhere)),
        delivery_worker.service.service(delivery_worker.settings.Settings(database_url=nowhere)),
    ]


def users(services: Iterable[Service]) -> list[User]:
    """One per service, and those at the edge: customers, suppliers, monitoring."""
    found, ordering, supplying = [], set[str](), set[str]()
    for service in services:
        own = topology_of([service])
        found.append(_service_user(service.name, own))
        keys = {binding.key for binding in own.bindings if binding.exchange == REQUESTS}
        (ordering if _hears_answers(own) else supplying).update(keys)
    return [
        *found,
        _client("customer", ordering),
        _client("supplier", supplying),
        User("monitoring", tags=("monitoring",)),
    ]


def _service_user(name: str, own: Topology) -> User:
    said_to = (COMMANDS, OUTCOMES) if _hears_answers(own) else (ANSWERS,)
    return User(name, write=_only(said_to), read=_only(queue.name for queue in own.queues))


def _client(name: str, keys: Iterable[str]) -> User:
    """May publish these requests, and receive outcomes in queues of its own making.

    The patterns match exchanges as well: what a client publishes through one of its own, our services refuse.
    """
    return User(
        name,
        configure=f"^{OUTCOME_QUEUES}$",
        write=f"^({REQUESTS}|{OUTCOME_QUEUES})$",  # binding a queue requires write permission on it
        read=f"^({OUTCOMES}|{OUTCOME_QUEUES})$",
        requests=_only(keys),
    )


def _hears_answers(own: Topology) -> bool:
    return any(binding.exchange == ANSWERS for binding in own.bindings)


def _only(names: Iterable[str]) -> str:
    return f"^({'|'.join(re.escape(name) for name in sorted(names))})$"


def definitions(topology: Topology, users: Sequence[User], hashes: Mapping[str, str] | None) -> dict[str, Any]:
    """As RabbitMQ's `definitions.local.path` takes them."""
    return {
        "vhosts": [{"name": VHOST}],
        **({"users": [_credentials(user, hashes[user.name]) for user in users]} if hashes else {}),
        "permissions": [
            {"user": each.name, "vhost": VHOST, "configure": each.configure, "write": each.write, "read": each.read}
            for each in users
        ],
        "topic_permissions": [
            {"user": each.name, "vhost": VHOST, "exchange": REQUESTS, "write": each.requests, "read": NOTHING}
            for each in users
            if each.requests
        ],
        "policies": [_absent_clients()],
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
    return {"name": user.name, "password_hash": hashed, "hashing_algorithm": algorithm, "tags": list(user.tags)}


def _absent_clients() -> dict[str, Any]:
    """A client that went away must not fill the broker."""
    definition = {"expires": ABSENT_CLIENT_SECONDS * 1000, "max-length": OUTCOMES_KEPT, "overflow": "drop-head"}
    name, pattern = "absent clients", f"^{OUTCOME_QUEUES}$"
    return {"name": name, "vhost": VHOST, "pattern": pattern, "apply-to": "queues", "definition": definition}


if __name__ == "__main__":
    main()
