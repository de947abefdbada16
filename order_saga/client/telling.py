"""Tells what became of each request: a line for people, with a bar on a terminal, or an object for machines."""

import json
import time
from collections import Counter
from typing import Any

import click

from messages.contracts.message import Message
from messages.contracts.order import CancelOrder, OrderNotPlaced, OrderPlaced, RequestRejected
from messages.transport.command_line.printing import counted
from messages.transport.command_line.remarks import remark
from order_saga.client.awaiting import Result
from order_saga.client.progress import Progress

NOT_DONE = 1
UNANSWERED = 3
NAMES_SHOWN = 5


class Telling:
    """Prints results as they come, counts them, and knows what to exit with."""

    def __init__(self, progress: Progress, *, as_json: bool) -> None:
        self._progress = progress
        self._as_json = as_json
        self._counts: Counter[str] = Counter()
        self._began = time.monotonic()
        self.exit_code = 0

    def tell(self, result: Result) -> None:
        self._counts[outcome_word(result.outcome)] += 1
        self.exit_code = max(self.exit_code, exit_code_of(result))
        self._progress.clear()
        click.echo(told(result, as_json=self._as_json))
        self._progress.show(self._counts)

    def sum_up(self) -> None:
        self._progress.clear()
        counts = ", ".join(f"{number} {outcome.replace('_', ' ')}" for outcome, number in self._counts.items())
        remark(f"{counts or 'nothing to place'} in {time.monotonic() - self._began:.1f} s")


def exit_code_of(result: Result) -> int:
    if result.is_success:
        return 0
    return NOT_DONE if result.outcome else UNANSWERED


def told(result: Result, *, as_json: bool) -> str:
    return json.dumps(fields(result)) if as_json else line(result)


def outcome_word(outcome: Message | None) -> str:
    """`placed`, `not_placed`, `rejected` or `unanswered`."""
    match outcome:
        case OrderPlaced():
            return "placed"
        case OrderNotPlaced():
            return "not_placed"
        case RequestRejected():
            return "rejected"
    return "unanswered"


def line(result: Result) -> str:
    """`placed      b2c3...  2 packets P-1 P-2, agent A-1`."""
    return f"{outcome_word(result.outcome).replace('_', ' '):<11} {result.asked.order_id}  {_explained(result)}"


def fields(result: Result) -> dict[str, Any]:
    """A result for machines: which line it is about, the outcome, and all its fields."""
    details = (
        result.outcome.model_dump(mode="json", exclude={"order_id", "request_message_id"}) if result.outcome else {}
    )
    return {
        **({"line": result.asked.line} if result.asked.line else {}),
        "request": type(result.asked.request.message).__name__,
        "message_id": str(result.asked.request.message_id),
        "order_id": str(result.asked.order_id),
        "outcome": outcome_word(result.outcome),
        "seconds": round(result.seconds, 3),
        **details,
    }


def _explained(result: Result) -> str:
    match result.outcome:
        case OrderPlaced(packet_ids=packet_ids, agent_id=agent_id):
            names = " ".join(packet_ids[:NAMES_SHOWN]) + (" ..." if len(packet_ids) > NAMES_SHOWN else "")
            return f"{counted(len(packet_ids), 'packet')} {names}, agent {agent_id}"
        case OrderNotPlaced(participant=participant, reason=reason):
            return f"{reason} ({participant})" if participant else reason
        case RequestRejected(reason=reason, detail=detail):
            return f"{reason}: {detail}{_where(result)}"
    wanted = "cancelled" if isinstance(result.asked.request.message, CancelOrder) else "placed"
    hint = f"it may still be {wanted}: ask again with the same order id"
    return f"no outcome within {result.seconds:.0f} s{_where(result)}; {hint}"


def _where(result: Result) -> str:
    return f" (line {result.asked.line})" if result.asked.line else ""
