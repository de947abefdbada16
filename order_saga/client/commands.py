"""`order-saga place`: requests in, outcomes out."""

import asyncio
import signal
import sys
from contextlib import suppress
from typing import BinaryIO

import click

from messages.transport.command_line.arguments import Span
from messages.transport.command_line.failures import INTERRUPTED
from messages.transport.daemon.logs import configure_logs
from messages.transport.edge.connection import listening
from order_saga.client.place import Limits, place
from order_saga.client.progress import Progress
from order_saga.client.request_lines import Lines, read
from order_saga.client.telling import Telling

DEFAULT = Limits()
TERMINATED = 143


@click.command("place")
@click.argument("file", type=click.File("rb"), metavar="FILE|-")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option(
    "--timeout",
    "timeout_seconds",
    type=Span(at_least=0.1),
    default=DEFAULT.timeout_seconds,
    show_default=True,
    help="Seconds to wait for each request's outcome.",
)
@click.option(
    "--window",
    type=click.IntRange(1, 5_000),
    default=DEFAULT.window,
    show_default=True,
    help="Requests open at the same time.",
)
def place_command(file: BinaryIO, as_json: bool, timeout_seconds: float, window: int) -> None:
    """Place the orders in FILE, one JSON document a line, and report what becomes of each.

    A line is an OrderRequested or CancelOrder document, or the bare content of an order: an order id, a message id and
    the type are added to it. Each is published repeatedly until it has an outcome.

    Exits with 0 if every order was placed (or cancelled, as asked), 1 if one was not, 2 if the input is wrong, 3 if
    the broker cannot be reached, a request had no outcome in time or the disk is full, 130 after Ctrl-C and 143 after
    SIGTERM: open requests are reported as unanswered, and may still be placed. Settings: BROKER_URL, or
    CLIENT_BROKER_URL for a user of one's own.
    """
    total = _proofread(file) if file.seekable() else None
    telling = Telling(Progress(total, sys.stderr), as_json=as_json)
    lines = Lines(file)
    try:
        asyncio.run(_place(lines, Limits(window, timeout_seconds), telling))
    except (KeyboardInterrupt, asyncio.CancelledError) as stop:
        telling.sum_up()
        sys.exit(INTERRUPTED if isinstance(stop, KeyboardInterrupt) else TERMINATED)
    telling.sum_up()
    if lines.mistake is not None:
        raise lines.mistake
    sys.exit(telling.exit_code)


async def _place(lines: Lines, limits: Limits, telling: Telling) -> None:
    configure_logs("order_saga", "error")
    with suppress(NotImplementedError):  # on Windows
        placing = asyncio.current_task()
        assert placing is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, placing.cancel)
    async with listening("place") as (broker, listener):
        await place(broker, listener, lines, limits, telling.tell)


def _proofread(file: BinaryIO) -> int:
    """How many requests there are. Raises WrongUsage before anything is published, if one of them is wrong."""
    beginning = file.tell()  # not 0, if the shell has read the first lines of stdin itself
    total = sum(1 for _ in read(file))
    file.seek(beginning)
    return total
