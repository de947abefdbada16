"""Connects our own tools to the public edge; what is wrong with a connection is reported at once."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError
from yarl import URL

from messages.transport.addresses import OUTCOMES, REQUESTS
from messages.transport.broker import Broker
from messages.transport.command_line.connecting import CONNECT_SECONDS, connected_to_broker
from messages.transport.command_line.failures import Unreachable, WrongUsage
from messages.transport.command_line.remarks import remark
from messages.transport.edge.outcomes import Listener
from messages.transport.edge.requests import Request
from messages.transport.rabbitmq.broker import RabbitBroker
from messages.transport.rabbitmq.connection import BROKER_FAILURES, cancellation_as_connection_error
from messages.transport.rabbitmq.fast_connection import CLOSE_SECONDS
from messages.transport.settings import BrokerUrl
from messages.transport.topology import listener

CONFIRM_SECONDS = 20.0
PUBLISH_AT_ONCE = 1_000
LOOK_SECONDS = 0.02
QUEUE_EXPIRES_SECONDS = 60
"""How long the queue of a client that was killed stays behind."""
VARIABLES = ("CLIENT_BROKER_URL", "BROKER_URL")
"""A client has its own broker user, unless all share one."""
DEFAULT_URL = "amqp://guest:guest@localhost/"
DEFAULT_USER = "guest"
"""Of a URL that names none, as aio-pika connects."""


@asynccontextmanager
async def connected(name: str) -> AsyncIterator[Broker]:
    """A broker to publish to. Raises WrongUsage or Unreachable, one line, naming the setting."""
    url = _url()
    broker = RabbitBroker(url, connection_name=name)
    async with connected_to_broker(url, _variable()):
        await broker.start()
        try:
            yield broker
        finally:
            await broker.close()


@asynccontextmanager
async def listening(name: str) -> AsyncIterator[tuple[Broker, Listener]]:
    """A broker to publish to, and a queue of outcomes of its own. Raises the same as `connected`."""
    url = _url()
    # The broker lets a client make queues under its own name only.
    topology = listener(f"{URL(url).user or DEFAULT_USER}.{name}-{uuid4()}", expires_seconds=QUEUE_EXPIRES_SECONDS)
    queue = topology.queues[0].name
    broker = RabbitBroker(url, topology=topology, connection_name=name)
    async with connected_to_broker(url, _variable()) as connection:
        await broker.start()
        try:
            outcomes = await Listener.on(broker, queue)
            await _until_served(broker)
            yield broker, outcomes
        finally:
            await broker.close()
            with suppress(*BROKER_FAILURES), cancellation_as_connection_error():
                async with asyncio.timeout(CLOSE_SECONDS):
                    await (await connection.channel()).queue_delete(queue)


async def publish_until_confirmed(broker: Broker, requests: Sequence[Request]) -> None:
    """Publish until all is confirmed. Raises Unreachable after `CONFIRM_SECONDS` without another confirm.

    If it is interrupted, says how far it came: packets that are added again come under other ids.
    """
    unconfirmed = list(requests)
    try:
        async with asyncio.timeout(CONFIRM_SECONDS) as patience:
            while unconfirmed:
                batch, later = unconfirmed[:PUBLISH_AT_ONCE], unconfirmed[PUBLISH_AT_ONCE:]
                confirmed = await broker.publish([request.envelope for request in batch])
                unconfirmed = [request for request, done in zip(batch, confirmed, strict=True) if not done] + later
                if any(confirmed):
                    patience.reschedule(asyncio.get_running_loop().time() + CONFIRM_SECONDS)
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        problem = f"{len(unconfirmed)} of {len(requests)} documents are not confirmed"
        advice = (
            f"that this user may publish them, that a queue is bound to `{REQUESTS}`, and that RabbitMQ has no alarm"
        )
        raise Unreachable(f"{_variable()}: {problem}: check {advice}") from None
    except asyncio.CancelledError:
        done = len(requests) - len(unconfirmed)
        remark(f"interrupted: {done} of {len(requests)} documents are published, and perhaps some of the others")
        raise


async def _until_served(broker: Broker) -> None:
    """Wait until the broker's queues are being consumed. Raises Unreachable if that takes too long."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            while not broker.connected:  # noqa: ASYNC110  it is a property, not an event
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        advice = "check that a service has declared it, and that this user may bind a queue to it"
        raise Unreachable(f"{_variable()}: cannot consume from `{OUTCOMES}`: {advice}") from None


def _variable() -> str:
    """Which one is read."""
    return next((name for name in VARIABLES if os.environ.get(name)), VARIABLES[-1])


def _url() -> str:
    """Raises WrongUsage, one line, which names the variable."""
    try:
        url = TypeAdapter(BrokerUrl).validate_python(os.environ.get(_variable()) or DEFAULT_URL)
        return str(url.get_secret_value())
    except ValidationError as error:
        what = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise WrongUsage(f"{_variable()}: {what}") from None
