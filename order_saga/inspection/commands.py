"""`order-saga show` and `audit`: looking across the services."""

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Any
from uuid import UUID

import click

from messages.transport.command_line.arguments import Span
from order_saga.inspection.audit import Report, examine
from order_saga.inspection.databases import urls
from order_saga.inspection.show import fields, lines, story_of
from order_saga.inspection.snapshot import Finding

GRACE_SECONDS = 30.0


@click.command("show")
@click.argument("order_id", type=click.UUID, metavar="ORDER")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show_command(order_id: UUID, as_json: bool) -> None:
    """Show an order's timeline across the services, in order of time.

    Reads ORDER_SAGA_DATABASE_URL, STORE_WORKER_DATABASE_URL and DELIVERY_WORKER_DATABASE_URL, or _READER_URL instead.
    Exits with 1 if no service knows the order, 3 if a database cannot be reached.
    """
    story = asyncio.run(story_of(urls(), order_id))
    if story is None:
        raise click.ClickException(f"nobody has ever heard of an order {order_id}")
    click.echo(json.dumps(fields(story)) if as_json else "\n".join(lines(story)))


@click.command("audit")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each finding, one a line.")
@click.option(
    "--grace",
    "grace_seconds",
    type=Span(),
    default=GRACE_SECONDS,
    show_default=True,
    help="Seconds that things may take; what seems wrong is looked at again after them before it is accused.",
)
@click.option("--at-rest", is_flag=True, help="Nothing is running: what is merely unfinished is wrong too.")
def audit_command(as_json: bool, grace_seconds: float, at_rest: bool) -> None:
    """Check the invariants over the databases of all services, and report what is wrong.

    Reads ORDER_SAGA_DATABASE_URL, STORE_WORKER_DATABASE_URL and DELIVERY_WORKER_DATABASE_URL, or _READER_URL instead.
    Exits with 1 if something is wrong, 3 if a database cannot be reached.
    """
    report = asyncio.run(examine(urls(), grace_seconds, at_rest=at_rest))
    for finding in report.findings:
        click.echo(json.dumps(_fields(finding)) if as_json else _line(finding))
    click.echo(verdict(report), err=True)
    sys.exit(1 if report.findings else 0)


def verdict(report: Report) -> str:
    """`clean: 200 orders`."""
    found = _counted(len(report.findings), "finding") if report.findings else "clean"
    parked = report.parked_by_others
    others = f"; {_counted(parked, 'document')} parked through no fault of ours" if parked else ""
    return f"{found}: {_counted(report.orders, 'order')}{others}"


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _line(finding: Finding) -> str:
    about = f"order {finding.order_id}" if finding.order_id else str(finding.service)
    return f"{finding.invariant}  {about}  {finding.sentence}"


def _fields(finding: Finding) -> dict[str, Any]:
    return asdict(finding) | {"order_id": str(finding.order_id) if finding.order_id else None}
