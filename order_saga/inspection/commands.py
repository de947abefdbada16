"""`order-saga show`, `list` and `audit`: looking at orders without changing anything."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

import click
from pydantic_core import to_jsonable_python

from messages.transport.command_line.arguments import Span
from messages.transport.command_line.printing import counted, utc, visible
from messages.transport.command_line.remarks import remark
from order_saga.inspection.audit import Report, examine
from order_saga.inspection.databases import orchestrator, urls
from order_saga.inspection.evidence import Finding
from order_saga.inspection.show import fields, lines, story_of
from order_saga.published import Unfinished, UnfinishedOrder, unfinished

GRACE_SECONDS = 30.0
MOST_LISTED = 1_000
NOTHING = "-"


@click.command("show")
@click.argument("order_id", type=click.UUID, metavar="ORDER")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show_command(order_id: UUID, as_json: bool) -> None:
    """Show an order's timeline across the services, in order of time.

    Reads ORDER_SAGA_DATABASE_URL, STORE_WORKER_DATABASE_URL and so on for each worker, or their READER_URL where it is
    set. Exits with 1 if no service knows the order, 3 if a database cannot be reached or read.
    """
    story = asyncio.run(story_of(urls(), order_id))
    if story is None:
        raise click.ClickException(f"no service knows an order {order_id}")
    click.echo(json.dumps(fields(story)) if as_json else "\n".join(lines(story)))


@click.command("list")
@click.option("--undecided", is_flag=True, help="Only orders without an outcome.")
@click.option("--releasing", is_flag=True, help="Only orders not placed and not yet released by every participant.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=MOST_LISTED,
    show_default=True,
    help="List at most this many.",
)
def list_command(undecided: bool, releasing: bool, as_json: bool, limit: int) -> None:
    """List the unfinished orders, the oldest first.

    Each with the participants that have not answered, or with `?` if its row cannot be read. Times are in UTC.

    Reads ORDER_SAGA_DATABASE_URL, or ORDER_SAGA_READER_URL instead. Exits with 3 if it cannot be reached.
    """
    flags = {Unfinished.UNDECIDED: undecided, Unfinished.RELEASING: releasing}
    orders, number = asyncio.run(_unfinished([each for each in flags if flags[each]] or list(flags), limit))
    if not as_json:
        click.echo(f"{'order':<36} {'phase':<10} {'accepted':<19} {'deadline':<19} silent")
    for order in orders:
        click.echo(json.dumps(to_jsonable_python(order._asdict())) if as_json else _order_line(order))
    if len(orders) < number:
        remark(f"the {len(orders)} oldest of {number}")


@click.command("audit")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for each finding.")
@click.option(
    "--grace",
    "grace_seconds",
    type=Span(),
    default=GRACE_SECONDS,
    show_default=True,
    help="Grace period in seconds: what seems wrong is checked again after it, and only then reported.",
)
@click.option("--at-rest", is_flag=True, help="No daemon is running: report unfinished work as wrong, too.")
def audit_command(as_json: bool, grace_seconds: float, at_rest: bool) -> None:
    """Check the invariants over the databases of all services.

    Prints what is wrong. Reads ORDER_SAGA_DATABASE_URL, STORE_WORKER_DATABASE_URL and so on for each worker, or
    their READER_URL where it is set. Exits with 1 if something is wrong, 3 if a database cannot be reached or read.
    """
    report = asyncio.run(examine(urls(), grace_seconds, at_rest=at_rest))
    for finding in report.findings:
        click.echo(json.dumps(_fields(finding)) if as_json else finding_line(finding))
    remark(verdict(report))
    sys.exit(1 if report.findings else 0)


async def _unfinished(which: Sequence[Unfinished], limit: int) -> tuple[Sequence[UnfinishedOrder], int]:
    async with orchestrator() as reader:
        return await unfinished(reader, which, limit)


def _order_line(order: UnfinishedOrder) -> str:
    times = f"{_time(order.accepted_at)} {_time(order.deadline):<19}"
    return f"{order.order_id} {order.phase:<10} {times} {', '.join(order.silent) or NOTHING}"


def _time(at: datetime | None) -> str:
    return utc(at) if at else NOTHING


def finding_line(finding: Finding) -> str:
    """`I2  order b2c3...  milk-7 assigned, but held by another order or by none`."""
    about = f"order {finding.order_id}" if finding.order_id else str(finding.service)
    return visible(f"{finding.invariant}  {about}  {finding.sentence}")


def _fields(finding: Finding) -> dict[str, Any]:
    return asdict(finding) | {"order_id": str(finding.order_id) if finding.order_id else None}


def verdict(report: Report) -> str:
    """`clean: 200 orders`."""
    found = counted(len(report.findings), "finding") if report.findings else "clean"
    parked = report.parked_by_others
    others = f"; {counted(parked, 'document')} parked through no fault of ours" if parked else ""
    return f"{found}: {counted(report.orders, 'order')}{others}"
