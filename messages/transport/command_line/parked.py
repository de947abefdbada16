"""`parked list | show | replay | discard`: what could not be handled, and what becomes of it."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click

from messages.transport import parked
from messages.transport.command_line.arguments import PARKED_ID, ReadSettings, Text, Time
from messages.transport.command_line.connecting import refuse_a_foreign_one
from messages.transport.command_line.own_database import own_database
from messages.transport.command_line.printing import utc, visible
from messages.transport.command_line.remarks import remark
from messages.transport.database.transactions import Transaction
from messages.transport.parked import Parked
from messages.transport.settings import Settings

T = TypeVar("T")

MOST_LISTED = 1_000
MOST_COUNTED = 1_000_000


def _chosen(command: Callable[..., None]) -> Callable[..., None]:
    """Either by their ids, or by their reason and perhaps their age."""
    for parameter in (
        click.option("--before", type=Time(), help="With --reason: only those parked before this time, UTC."),
        click.option("--reason", type=Text(), help="All documents with this reason, as `parked list` prints it."),
        click.argument("parked_ids", type=PARKED_ID, nargs=-1),
    ):
        command = parameter(command)
    return command


@click.group("parked")
def parked_group() -> None:
    """Look after documents that could not be handled."""


@parked_group.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def list_parked(read_settings: ReadSettings, as_json: bool) -> None:
    """List what is parked, the oldest first. Of very many, the first thousand."""
    rows, number = _ask(read_settings, _first_and_number)
    for row in rows:
        click.echo(json.dumps(_fields(row)) if as_json else visible(_line(row)))
    if len(rows) < number:
        remark(f"the {len(rows)} oldest of {number}")


@parked_group.command("show")
@click.argument("parked_id", type=PARKED_ID)
@click.pass_obj
def show_parked(read_settings: ReadSettings, parked_id: int) -> None:
    """Show one parked document whole, with its reason."""
    row = _ask(read_settings, lambda tx: parked.find(tx, parked_id))
    if row is None:
        raise _unknown([parked_id])
    for name, value in _fields(row).items():
        click.echo(visible(f"{name:<20} {value}"))


@parked_group.command("replay")
@_chosen
@click.pass_obj
def replay_parked(
    read_settings: ReadSettings, parked_ids: tuple[int, ...], reason: str | None, before: datetime | None
) -> None:
    """Have the running service handle documents again. One that fails again stays parked."""
    _refuse_unless_one_choice(parked_ids, reason, before)

    async def request(tx: Transaction) -> int:
        if reason is None:
            return await parked.request_replay(tx, parked_ids)
        return await parked.request_replay_of_all(tx, reason, before)

    _report(_ask(read_settings, request), "to be replayed by the running service", parked_ids)


@parked_group.command("discard")
@_chosen
@click.pass_obj
def discard_parked(
    read_settings: ReadSettings, parked_ids: tuple[int, ...], reason: str | None, before: datetime | None
) -> None:
    """Delete parked documents for good.

    With --reason, documents that our own services sent are kept: they are needed.
    """
    _refuse_unless_one_choice(parked_ids, reason, before)
    if reason is None:
        _report(_ask(read_settings, lambda tx: parked.discard(tx, parked_ids)), "discarded", parked_ids)
    else:
        click.echo(_discarded(*_ask(read_settings, lambda tx: parked.discard_all(tx, reason, before))))


def _refuse_unless_one_choice(parked_ids: tuple[int, ...], reason: str | None, before: datetime | None) -> None:
    if bool(parked_ids) == (reason is not None) or (before and reason is None):
        raise click.UsageError("give ids, or --reason and optionally --before")


async def _first_and_number(tx: Transaction) -> tuple[Sequence[Parked], int]:
    rows = await parked.parked(tx, MOST_LISTED)
    return rows, len(rows) if len(rows) < MOST_LISTED else await parked.count(tx, MOST_COUNTED)


def _ask(read_settings: ReadSettings, question: Callable[[Transaction], Awaitable[T]]) -> T:
    return asyncio.run(_ask_database(read_settings(), question))


async def _ask_database(settings: Settings, question: Callable[[Transaction], Awaitable[T]]) -> T:
    async with own_database(settings) as connection, connection.transaction():
        await refuse_a_foreign_one(connection, f"{settings.prefix()}DATABASE_URL")
        return await question(connection)


def _report(number: int, done: str, parked_ids: Sequence[int]) -> None:
    """Report it. Raises what makes the command exit with 1, if some of the named ids are not parked."""
    if parked_ids and not number:
        raise _unknown(parked_ids)
    click.echo(f"{number} {done}")
    if number < (named := len(set(parked_ids))):
        raise click.ClickException(f"{named - number} of these ids are not parked")


def _discarded(number: int, kept: int) -> str:
    if not kept:
        return f"{number} discarded"
    return f"{number} discarded; {kept} of our own kept: discard {'it by its id' if kept == 1 else 'them by their ids'}"


def _unknown(parked_ids: Sequence[int]) -> click.ClickException:
    return click.ClickException(f"no parked document has the id {', '.join(map(str, parked_ids))}")


def _line(row: Parked) -> str:
    mark = " (to be replayed)" if row.replay_requested_at else ""
    return f"{row.id:>6}  {utc(row.parked_at)}  {row.type or '?':<24} {row.reason}: {row.detail}{mark}"


def _fields(row: Parked) -> dict[str, Any]:
    return {
        "id": row.id,
        "message_id": str(row.message_id),
        "type": row.type,
        "order_id": str(row.order_id) if row.order_id else None,
        "queue": row.queue,
        "from_outside": row.from_outside,
        "reason": row.reason,
        "detail": row.detail,
        "times": row.times,
        "parked_at": row.parked_at.isoformat(),
        "replay_requested_at": row.replay_requested_at.isoformat() if row.replay_requested_at else None,
        "body": row.body.decode("utf-8", "backslashreplace"),
    }
