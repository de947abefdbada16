"""`order-saga place`: requests in, outcomes out, a line for each; a bar on a terminal, JSON for machines."""

import asyncio
import json
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from typing import Any, BinaryIO

import click

from messages.contracts.order import OrderNotPlaced, OrderPlaced, RequestRejected
from messages.transport.command_line.arguments import Span
from messages.transport.command_line.failures import INTERRUPTED
from messages.transport.command_line.printing import counted
from messages.transport.daemon.logs import configure_logs
from messages.transport.edge.connection import listening
from order_saga.client.awaiting import Answer
from order_saga.client.place import Limits, place
from order_saga.client.progress import Progress
from order_saga.client.request_lines import Lines, read

DEFAULT = Limits()
NOT_ALL_PLACED = 1
UNANSWERED = 3
TERMINATED = 143
NAMES_SHOWN = 5


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


async def _place(lines: Lines, limits: Limits, telling: "Telling") -> None:
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


class Telling:
    """Prints answers as they come, counts them, and knows what to exit with."""

    def __init__(self, progress: Progress, *, as_json: bool) -> None:
        self._progress = progress
        self._as_json = as_json
        self._counts: Counter[str] = Counter()
        self._began = time.monotonic()
        self.exit_code = 0

    def tell(self, answer: Answer) -> None:
        self._counts[outcome_of(answer)] += 1
        if not answer.is_success:
            self.exit_code = max(self.exit_code, NOT_ALL_PLACED if answer.outcome else UNANSWERED)
        self._progress.clear()
        click.echo(json.dumps(fields(answer)) if self._as_json else line(answer))
        self._progress.show(self._counts)

    def sum_up(self) -> None:
        self._progress.clear()
        counts = ", ".join(f"{number} {outcome.replace('_', ' ')}" for outcome, number in self._counts.items())
        click.echo(f"{counts or 'nothing to place'} in {time.monotonic() - self._began:.1f} s", err=True)


def outcome_of(answer: Answer) -> str:
    match answer.outcome:
        case OrderPlaced():
            return "placed"
        case OrderNotPlaced():
            return "not_placed"
        case RequestRejected():
            return "rejected"
    return "unanswered"


def line(answer: Answer) -> str:
    """`placed      b2c3...  2 packets P-1 P-2, agent A-1`."""
    return f"{outcome_of(answer).replace('_', ' '):<11} {answer.asked.order_id}  {_explained(answer)}"


def fields(answer: Answer) -> dict[str, Any]:
    """An answer for machines: which line it is about, the outcome, and all its fields."""
    details = (
        answer.outcome.model_dump(mode="json", exclude={"order_id", "request_message_id"}) if answer.outcome else {}
    )
    return {
        "line": answer.asked.line,
        "request": type(answer.asked.request.message).__name__,
        "message_id": str(answer.asked.request.message_id),
        "order_id": str(answer.asked.order_id),
        "outcome": outcome_of(answer),
        "seconds": round(answer.seconds, 3),
        **details,
    }


def _explained(answer: Answer) -> str:
    match answer.outcome:
        case OrderPlaced(packet_ids=packet_ids, agent_id=agent_id):
            names = " ".join(packet_ids[:NAMES_SHOWN]) + (" ..." if len(packet_ids) > NAMES_SHOWN else "")
            return f"{counted(len(packet_ids), 'packet')} {names}, agent {agent_id}"
        case OrderNotPlaced(participant=participant, reason=reason):
            return f"{reason} ({participant})" if participant else reason
        case RequestRejected(reason=reason, detail=detail):
            return f"{reason}: {detail} (line {answer.asked.line})"
    return f"no outcome within {answer.seconds:.0f} s (line {answer.asked.line})"
