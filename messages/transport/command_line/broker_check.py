"""Proves that a service can run on its broker: queues and bindings exist, and lose nothing."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import aio_pika

from messages.transport.command_line.connecting import connected_to_broker
from messages.transport.command_line.failures import Unreachable, WrongUsage, one_line_with_place
from messages.transport.faults import one_line
from messages.transport.rabbitmq.connection import BROKER_FAILURES, cancellation_as_connection_error
from messages.transport.rabbitmq.management import ActualQueue, Management
from messages.transport.rabbitmq.topology import declare
from messages.transport.service import Service
from messages.transport.settings import Settings
from messages.transport.topology import Queue, Topology, topology_of

DECIDE_WHAT_IS_LOST = frozenset(
    {
        "x-dead-letter-exchange",
        "x-dead-letter-routing-key",
        "x-dead-letter-strategy",
        "x-delivery-limit",
        "x-expires",
        "x-max-length",
        "x-message-ttl",
        "x-overflow",
    }
)
"""Not `x-max-length-bytes`: with the overflow that our queues must have, it loses nothing."""
REPLICAS = 3
"""Of a queue, in a cluster with at least as many nodes: what one node loses, the others still have."""


async def broker_problems(service: Service, settings: Settings) -> list[str]:
    """One sentence for each thing that is wrong with the broker or the way to it."""
    expected = topology_of([service])
    url, management_url = settings.broker_url.get_secret_value(), settings.management_url
    try:
        async with connected_to_broker(url, f"{settings.prefix()}BROKER_URL") as connection:
            if settings.topology == "declare":
                problems = await _declared_problems(connection, expected)
                if problems or management_url is None:
                    return problems
    except (WrongUsage, Unreachable) as error:
        return [error.message]
    if management_url is None:
        return [f"{settings.prefix()}MANAGEMENT_URL: must be set if TOPOLOGY is expect, to check the queues"]
    management = Management(management_url.get_secret_value(), url)
    try:
        return await asyncio.to_thread(lambda: list(_expected_problems(management, expected)))
    except OSError as error:
        return [f"{settings.prefix()}MANAGEMENT_URL: {_why_not_read(error, management_url.get_secret_value())}"]


def _why_not_read(error: OSError, url: str) -> str:
    """With the server's place, and without urllib's wrapping: `<urlopen error timed out>`."""
    reason = getattr(error, "reason", None)
    return one_line_with_place(reason if isinstance(reason, Exception) else error, url)


async def _declared_problems(connection: aio_pika.abc.AbstractConnection, expected: Topology) -> list[str]:
    """Declaring proves equality: RabbitMQ refuses the same name with other arguments."""
    try:
        with cancellation_as_connection_error():
            await declare(connection, expected)
    except aio_pika.exceptions.AMQPChannelError as error:
        return [f"the broker refuses the topology: {error}"]
    except BROKER_FAILURES as error:
        return [f"declaring the topology failed: {one_line(error)}"]
    return []


def _expected_problems(management: Management, expected: Topology) -> Iterable[str]:
    queues, bindings, nodes = management.queues(), management.bindings(), management.nodes()
    for queue in expected.queues:
        actual = queues.get(queue.name)
        if actual is None:
            yield f"queue {queue.name} is missing"
            continue
        if not actual.durable:
            yield f"queue {queue.name} is not durable"
        given = actual.policy | actual.arguments
        for name, value in queue.arguments.items():
            if given.get(name) != value:
                yield f"queue {queue.name}: {name} is {given.get(name)!r} and must be {value!r}"
        yield from _policy_problems(queue, actual.policy)
        yield from _replica_problems(queue.name, actual, nodes)
    yield from _binding_problems(expected, bindings)


def _binding_problems(expected: Topology, actual: AbstractSet[tuple[str, str, str]]) -> Iterable[str]:
    """An import of definitions and a new release add bindings, and remove none that an earlier release has left."""
    needed = {(binding.exchange, binding.key, binding.queue): None for binding in expected.bindings}
    for exchange, key, queue in needed:
        if (exchange, key, queue) not in actual:
            yield f"{exchange}/{key} does not reach queue {queue}: the binding is missing"
    ours = {queue.name for queue in expected.queues}
    for exchange, key, queue in sorted(actual - needed.keys()):
        if queue in ours and exchange:  # RabbitMQ itself binds every queue to the nameless exchange
            yield f"{exchange}/{key} reaches queue {queue}, and no longer should: remove the binding"


def _policy_problems(queue: Queue, policy: Mapping[str, Any]) -> Iterable[str]:
    """RabbitMQ applies the lower of two limits, and a policy's overflow: arguments do not rule a policy out."""
    for name in sorted(DECIDE_WHAT_IS_LOST & policy.keys()):
        if policy[name] != queue.arguments.get(name):
            wanted = f"be {queue.arguments[name]!r}" if name in queue.arguments else "not be set"
            yield f"queue {queue.name}: a policy sets {name.removeprefix('x-')} to {policy[name]!r}; it must {wanted}"


def _replica_problems(name: str, actual: ActualQueue, nodes: Collection[str] | None) -> Iterable[str]:
    """A queue that was declared before its node had joined the others stays on that node alone."""
    if nodes is None or actual.members is None:
        return
    if len(actual.members) < min(REPLICAS, len(nodes)):
        has = f"{len(actual.members)} of {len(nodes)} nodes"
        yield f"queue {name} is on {has}: add replicas with `rabbitmq-queues grow`"
    if actual.online is not None and 2 * len(actual.online) <= len(actual.members):
        down = ", ".join(sorted(set(actual.members) - set(actual.online)))
        yield f"queue {name} has lost its quorum: its replicas on {down} are down"
