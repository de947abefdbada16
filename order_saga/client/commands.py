"""`order-saga place` and `cancel`: requests in, outcomes out."""

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO
from uuid import UUID

import click

from messages.contracts.order import CancelOrder
from messages.transport.command_line.arguments import Span
from messages.transport.command_line.failures import INTERRUPTED
from messages.transport.daemon.logs import configure_logs
from messages.transport.edge.connection import listening
from messages.transport.edge.requests import new_request
from order_saga.client.awaiting import Result
from order_saga.client.place import Limits, place
from order_saga.client.progress import Progress
from order_saga.client.request_lines import Given, Lines, Source, read
from order_saga.client.telling import Telling, exit_code_of, told

DEFAULT = Limits()
TERMINATED = 143
TIMEOUT = click.option(
    "--timeout",
    "timeout_seconds",
    type=Span(at_least=0.1),
    default=DEFAULT.timeout_seconds,
    show_default=True,
    help="Seconds to wait for each request's outcome.",
)


@click.command("place")
@click.argument("file", type=click.File("rb"), metavar="FILE|-")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@TIMEOUT
@click.option(
    "--window",
    type=click.IntRange(1, 5_000),
    default=DEFAULT.window,
    show_default=True,
    help="Requests open at the same time.",
)
def place_command(file: BinaryIO, as_json: bool, timeout_seconds: float, window: int) -> None:
    """Place the orders in FILE, and report what becomes of each.

    A line is an OrderRequested or CancelOrder document in JSON, or the bare content of an order: an order id, a message
    id and the type are added to it. Each is published repeatedly until it has an outcome.

    Exits with 0 if every order was placed (or cancelled, as asked), 1 if one was not, 2 if the input is wrong, 3 if
    the broker cannot be reached, a request had no outcome in time or the disk is full, 130 after Ctrl-C and 143 after
    SIGTERM: open requests are reported as unanswered, and may still be placed. Settings: BROKER_URL, or
    CLIENT_BROKER_URL for a user of one's own.
    """
    total = _proofread(file) if file.seekable() else None
    telling = Telling(Progress(total, sys.stderr), as_json=as_json)
    lines = Lines(file)
    stopped_by = _run("place", lines, Limits(window, timeout_seconds), telling.tell)
    telling.sum_up()
    if lines.mistake is not None and not stopped_by:
        raise lines.mistake
    sys.exit(stopped_by or telling.exit_code)


@click.command("cancel")
@click.argument("order_id", metavar="ORDER", type=click.UUID)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@TIMEOUT
def cancel_command(order_id: UUID, as_json: bool, timeout_seconds: float) -> None:
    """Cancel ORDER, unless it is placed already.

    Publishes a CancelOrder document, repeatedly until it has an outcome, and prints the outcome. An order of which
    nobody has heard is cancelled, too, should it come later.

    Exits with 0 if the order is not placed, 1 if it is placed, 2 if ORDER is no order id, 3 if the broker cannot be
    reached or there was no outcome in time, 130 after Ctrl-C and 143 after SIGTERM: it may still be cancelled then.
    Settings: BROKER_URL, or CLIENT_BROKER_URL for a user of one's own.
    """
    results: list[Result] = []

    def tell(result: Result) -> None:
        results.append(result)
        click.echo(told(result, as_json=as_json))

    request = new_request(CancelOrder, order_id=order_id)
    stopped_by = _run("cancel", Given(request), Limits(timeout_seconds=timeout_seconds), tell)
    sys.exit(stopped_by or max(map(exit_code_of, results)))


def _run(command: str, source: Source, limits: Limits, tell: Callable[[Result], None]) -> int:
    """Return what to exit with if a signal has ended it, otherwise 0."""
    try:
        asyncio.run(_place(command, source, limits, tell))
    except KeyboardInterrupt:
        return INTERRUPTED
    except asyncio.CancelledError:
        return TERMINATED
    return 0


async def _place(command: str, source: Source, limits: Limits, tell: Callable[[Result], None]) -> None:
    configure_logs("order_saga", "error")
    with suppress(NotImplementedError):  # on Windows
        placing = asyncio.current_task()
        assert placing is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, placing.cancel)
    async with listening(command) as (broker, listener):
        await place(broker, listener, source, limits, tell)


def _proofread(file: BinaryIO) -> int:
    """How many requests there are. Raises WrongUsage before anything is published, if one of them is wrong."""
    beginning = file.tell()  # not 0, if the shell has read the first lines of stdin itself
    total = sum(1 for _ in read(file))
    file.seek(beginning)
    return total
