"""`check`: proves that settings, database and broker fit together, before the service runs on them or while it does."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any
from urllib.parse import SplitResult, urlsplit

import aio_pika
import asyncpg
from yarl import URL

from messages.transport.command_line.failures import one_line_with_place
from messages.transport.database import session
from messages.transport.database.migrating import pending
from messages.transport.faults import DATABASE_FAILURES, UnfitDatabase, one_line, why_refused
from messages.transport.rabbitmq.diagnosis import why_not_connected
from messages.transport.rabbitmq.fast_lane import FastConnection
from messages.transport.rabbitmq.management import ActualQueue, Management
from messages.transport.rabbitmq.topology import declare
from messages.transport.service import Service
from messages.transport.settings import Settings
from messages.transport.topology import Queue, Topology, topology_of

CONNECT_SECONDS = 10.0
SKEW_SECONDS = 1.0
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


async def check(service: Service, settings: Settings) -> list[str]:
    """One sentence for each thing that is wrong, naming the setting where one is to blame; none: all was proven."""
    return [*await _database_problems(service, settings), *await _broker_problems(service, settings)]


async def _database_problems(service: Service, settings: Settings) -> list[str]:
    url = settings.database_url.get_secret_value()
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS, server_settings=session.SETTINGS)
        try:
            await session.refuse_dropped_settings(connection)
            missing = await pending(connection, service.migrations)
            problems = [f"migration {migration.name} is not applied: run migrate" for migration in missing]
            problems += await _standby_problems(settings, connection)
            problems += await _durability_problems(settings, connection)
            problems += await _primary_problems(settings, urlsplit(url))
            return problems + await _clock_problems(connection)
        finally:
            await connection.close()
    except OSError as error:  # before ValueError: a certificate that cannot be verified is both
        return [f"{settings.prefix()}DATABASE_URL: {one_line_with_place(error, url)}"]
    except ValueError as error:
        return [f"{settings.prefix()}DATABASE_URL: {why_refused(error)}"]
    except (UnfitDatabase, *DATABASE_FAILURES) as error:
        return [f"{settings.prefix()}DATABASE_URL: {one_line(error)}"]


async def _standby_problems(settings: Settings, connection: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    """A standby answers queries, but refuses writes."""
    if await connection.fetchval("SELECT pg_is_in_recovery()"):
        return [f"{settings.prefix()}DATABASE_URL: leads to a read-only standby; it must lead to the primary"]
    if await connection.fetchval("SELECT current_setting('transaction_read_only')::boolean"):
        return [f"{settings.prefix()}DATABASE_URL: the database is read-only (default_transaction_read_only)"]
    return []


async def _durability_problems(settings: Settings, connection: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    """What customers are told must outlast a crash; a role or a database may have been set to something quicker."""
    if await connection.fetchval("SHOW synchronous_commit") == "off":
        return [f"{settings.prefix()}DATABASE_URL: synchronous_commit is off: a crash of the server loses commits"]
    return []


async def _primary_problems(settings: Settings, url: SplitResult) -> list[str]:
    """Of several hosts only one may be a primary: daemons write to whichever they find first."""
    user, at, hosts = url.netloc.rpartition("@")
    if "," not in hosts:
        return []
    urls = {host: url._replace(netloc=f"{user}{at}{host}").geturl() for host in hosts.split(",")}
    are_primary = await asyncio.gather(*map(_is_primary, urls.values()))
    primaries = [host for host, is_primary in zip(urls, are_primary, strict=True) if is_primary]
    several = f"{' and '.join(primaries)} all accept writes: stop every one but the newest primary"
    return [f"{settings.prefix()}DATABASE_URL: {several}"] if len(primaries) > 1 else []


async def _is_primary(url: str) -> bool:
    """False also if it does not answer, or if the URL wants another kind of server than this one is."""
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
        try:
            return not await connection.fetchval("SELECT pg_is_in_recovery()")
        finally:
            await connection.close()
    except DATABASE_FAILURES:
        return False


async def _clock_problems(connection: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    """Every service compares its database with its own host; hosts that agree with theirs agree with each other."""
    before = datetime.now(UTC)
    there: datetime = await connection.fetchval("SELECT clock_timestamp()")
    after = datetime.now(UTC)
    skew = max((before - there).total_seconds(), (there - after).total_seconds(), 0.0)
    return (
        [f"the database's clock is {skew:.1f} s off this host's: more than {SKEW_SECONDS} s"]
        if skew > SKEW_SECONDS
        else []
    )


async def _broker_problems(service: Service, settings: Settings) -> list[str]:
    expected = topology_of([service])
    url = settings.broker_url.get_secret_value()
    async with FastConnection(URL(url)) as connection:
        try:
            await connection.connect(timeout=CONNECT_SECONDS)
        except (OSError, TimeoutError, aio_pika.exceptions.AMQPError) as error:
            return [f"{settings.prefix()}BROKER_URL: {why_not_connected(error, url)}"]
        except ValueError:  # a parameter that is not what its name says
            return [f"{settings.prefix()}BROKER_URL: not an AMQP URL"]
        if settings.topology == "declare":
            problems = await _declared_problems(connection, expected)
            if problems or settings.management_url is None:
                return problems
    if settings.management_url is None:
        return [f"{settings.prefix()}MANAGEMENT_URL: must be set if TOPOLOGY is expect, to check the queues"]
    management = Management(settings.management_url.get_secret_value(), url)
    try:
        return await asyncio.to_thread(lambda: list(_expected_problems(management, expected)))
    except (OSError, ValueError, HTTPException) as error:  # ValueError: something answers, and not with JSON
        return [f"{settings.prefix()}MANAGEMENT_URL: {type(error).__name__}: {error}".strip()]


async def _declared_problems(connection: aio_pika.abc.AbstractConnection, expected: Topology) -> list[str]:
    """Declaring proves equality: RabbitMQ refuses the same name with other arguments."""
    try:
        await declare(connection, expected)
    except aio_pika.exceptions.AMQPError as error:
        return [f"the broker refuses the topology: {error}"]
    except OSError as error:
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
    for binding in expected.bindings:
        if (binding.exchange, binding.key, binding.queue) not in bindings:
            yield f"{binding.exchange}/{binding.key} does not reach queue {binding.queue}: the binding is missing"


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
