"""`publish`: publishes client messages to a service from a file, for instance after a broker or database was lost."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import BinaryIO

import click

from messages.contracts.message import Message
from messages.transport.daemon.logs import configure_logs
from messages.transport.edge.connection import connected, publish_until_confirmed
from messages.transport.edge.requests import Request, RequestReader, read_lines


def publish_command(service: str, handled: Iterable[type[Message]]) -> click.Command:
    """`store-worker publish`, for the message types that it handles and a client may publish."""
    kinds = [kind for kind in handled if kind.FROM_OUTSIDE]
    names = ", ".join(kind.__name__ for kind in kinds)

    @click.command("publish", help=_help(names), short_help="Publish requests from a file.")
    @click.argument("file", type=click.File("rb"), metavar="FILE|-")
    def command(file: BinaryIO) -> None:
        requests = [request for _, request in read_lines(RequestReader(None, *kinds), file)]
        publish(service, "publish", requests)
        click.echo(f"{len(requests)} published")

    return command


def _help(names: str) -> str:
    return f"""Publish the requests in FILE, one JSON document a line: {names}.

    Each must have its type; a message id is added where there is none. All lines are read before the first is
    published: if one is invalid, its number is reported and nothing is published. Confirmed documents are in a queue,
    not yet handled. Publishing a document twice does no harm.

    Exits with 2 if the input is wrong, 3 if the broker cannot be reached or does not confirm. Settings: BROKER_URL,
    or CLIENT_BROKER_URL for a user of one's own, who may publish these.
    """


def publish(service: str, command: str, requests: Sequence[Request]) -> None:
    """Publish requests from a command of the service's. Raises Unreachable or WrongUsage, one line, for click."""

    async def publishing() -> None:
        async with connected(command) as broker:
            await publish_until_confirmed(broker, requests)

    configure_logs(service, "error")
    asyncio.run(publishing())
