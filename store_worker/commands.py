"""`store-worker stock`: what stands on the shelves, what comes onto them, and what must not be sold."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO
from uuid import uuid4

import click

from messages.contracts.store import PacketsWithdrawn, StockReceived
from messages.transport.command_line.arguments import ReadSettings, Text, Time
from messages.transport.command_line.failures import WrongUsage
from messages.transport.command_line.reading import ask
from messages.transport.edge.publishing import publish
from messages.transport.edge.requests import Request, RequestReader, new_request, read_lines
from messages.transport.settings import Settings
from store_worker.published import Choice, packets_named, packets_on_hand
from store_worker.service import NAME
from store_worker.telling import tell_packets, tell_shelves, tell_withdrawal
from store_worker.withdrawal import Withdrawal, withdrawal_of

PACKETS_A_DOCUMENT = 900
"""Such a document is within a client's size limit, however long the ids are."""
FRESH_DAYS = 14
NOT_DONE = 1


def _chosen(command: Callable[..., None]) -> Callable[..., None]:
    """Options that say which packets of a store are meant."""
    for option in (
        click.option("--received-before", type=Time(), help="Only packets received before this time, UTC."),
        click.option("--received-since", type=Time(), help="Only packets received at this time or later, UTC."),
        click.option("--sku", type=Text(), help="Only packets of this sku."),
    ):
        command = option(command)
    return command


@click.group("stock")
def stock_group() -> None:
    """List, add and withdraw packets."""


@stock_group.command("list")
@click.argument("store_id", metavar="[STORE]", type=Text(), required=False)
@_chosen
@click.option("--ids", is_flag=True, help="One packet a line.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def list_stock(read_settings: ReadSettings, /, ids: bool, as_json: bool, **choice: Any) -> None:
    """Count the packets of all stores, or of STORE, by sku and state.

    With --ids, list the packets themselves. One withdrawn while an order has it keeps its state and counts under it;
    it is listed as `confirmed, withdrawn`, for example. A packet is `retired` if it was withdrawn, or came too near
    its best-before.
    """
    ask(read_settings(), lambda reader: (tell_packets if ids else tell_shelves)(reader, Choice(**choice), as_json))


@stock_group.command("add")
@click.argument("store_id", metavar="[STORE]", required=False)
@click.argument("sku", required=False)
@click.argument("quantity", type=click.IntRange(1, 1_000_000), required=False)
@click.option("--best-before", type=Time(), help=f"UTC; by default in {FRESH_DAYS} days.")
@click.option("--file", type=click.File("rb"), help="StockReceived documents, one JSON object a line; - for stdin.")
@click.option("--ids", is_flag=True, help="Print the ids of the packets, one a line, before they are published.")
def add_stock(
    store_id: str | None,
    sku: str | None,
    quantity: int | None,
    best_before: datetime | None,
    file: BinaryIO | None,
    *,
    ids: bool,
) -> None:
    """Add QUANTITY new packets of SKU to STORE, or those in a file.

    Publishes StockReceived; the running store worker does the rest. Exits with 2 if the input is wrong, 3 if the
    broker cannot be reached. Settings: BROKER_URL, or CLIENT_BROKER_URL for a user of one's own.
    """
    if file is not None and best_before is not None:
        raise click.UsageError("--best-before does not go with --file, whose documents contain it")
    if file is not None and store_id is None:
        requests = [request for _, request in read_lines(RequestReader(StockReceived), file)]
    elif file is None and store_id and sku and quantity:
        requests = list(_received(store_id, sku, quantity, best_before))
    else:
        raise click.UsageError("give STORE, SKU and QUANTITY, or --file")
    if ids:
        click.echo("\n".join(_ids(requests)))
    publish(NAME, "stock add", requests)
    click.echo(f"{len(requests)} StockReceived published", err=ids)


@stock_group.command("withdraw")
@click.argument("store_id", metavar="STORE", type=Text())
@click.argument("packet_ids", metavar="[PACKET]...", type=Text(), nargs=-1)
@_chosen
@click.option("--all", "everything", is_flag=True, help="All packets of the store.")
@click.option("--yes", is_flag=True, help="Withdraw. Without it, only print what would be withdrawn.")
@click.pass_obj
def withdraw_stock(
    read_settings: ReadSettings, /, store_id: str, packet_ids: Sequence[str], everything: bool, yes: bool, **choice: Any
) -> None:
    """Withdraw packets of STORE for ever.

    Takes those that are named, or those that the options choose. An id that is withdrawn is never sold again, whatever
    arrives later: good packets come back under new ids. An order that has such a packet is refused, unless it is placed
    already: then it keeps the packet, and an alarm `withdrawn_while_confirmed` says so: call the customer. Those that
    orders have are listed.

    Publishes PacketsWithdrawn; the running store worker does the rest. Repeating it does no harm. Exits with 1
    without --yes, 2 if the input is wrong, 3 if a server cannot be reached. Settings: those of the store worker's
    database, and BROKER_URL, or CLIENT_BROKER_URL for a user of one's own.
    """
    if [bool(packet_ids), any(choice.values()), everything].count(True) != 1:
        raise click.UsageError("give packets, or options that choose them, or --all")
    withdrawal = _withdrawal(read_settings(), packet_ids, Choice(store_id, **choice))
    requests = list(_withdrawn(store_id, withdrawal.packet_ids))
    tell_withdrawal(store_id, withdrawal)
    if not requests:
        return
    if not yes:
        click.echo("nothing was withdrawn; add --yes to withdraw", err=True)
        sys.exit(NOT_DONE)
    publish(NAME, "stock withdraw", requests)
    click.echo(f"{len(requests)} PacketsWithdrawn published")


def _received(store_id: str, sku: str, quantity: int, best_before: datetime | None) -> Iterator[Request]:
    fresh = best_before or datetime.now(UTC) + timedelta(days=FRESH_DAYS)
    for names in _portions([f"P-{uuid4().hex}" for _ in range(quantity)]):
        yield new_request(StockReceived, store_id=store_id, sku=sku, best_before=fresh, packet_ids=names)


def _withdrawn(store_id: str, packet_ids: Sequence[str]) -> Iterator[Request]:
    for names in _portions(packet_ids):
        yield new_request(PacketsWithdrawn, store_id=store_id, packet_ids=names)


def _portions(packet_ids: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for first in range(0, len(packet_ids), PACKETS_A_DOCUMENT):
        yield tuple(packet_ids[first : first + PACKETS_A_DOCUMENT])


def _ids(requests: Iterable[Request]) -> Iterator[str]:
    for request in requests:
        assert isinstance(request.message, StockReceived)
        yield from request.message.packet_ids


def _withdrawal(settings: Settings, packet_ids: Sequence[str], choice: Choice) -> Withdrawal:
    """Raises WrongUsage, one line, if a packet that is named is another store's."""
    if not packet_ids:
        return withdrawal_of(ask(settings, lambda reader: packets_on_hand(reader, choice)))
    found = ask(settings, lambda reader: packets_named(reader, packet_ids))
    for packet in found:
        if packet.store_id != choice.store_id:
            raise WrongUsage(f"{packet.packet_id} belongs to {packet.store_id}, not to {choice.store_id}")
    return withdrawal_of(found, packet_ids)
