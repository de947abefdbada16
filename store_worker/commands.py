"""`store-worker stock`: what stands on the shelves, and what comes onto them."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import BinaryIO
from uuid import uuid4

import click

from messages.contracts.store import StockReceived
from messages.transport.command_line.reading import ask
from messages.transport.edge.requests import Request, RequestReader, read_lines, write
from messages.transport.edge.say import publish
from messages.transport.settings import Settings
from store_worker.published import Shelf, shelves

STATES = ("free", "reserved", "assigned", "confirmed", "fulfilled", "retired")
PACKETS_A_DOCUMENT = 1_000
FRESH_DAYS = 14


@click.group("stock")
def stock_group() -> None:
    """Packets: what is there, and what comes."""


@stock_group.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def list_stock(read_settings: Callable[[], Settings], as_json: bool) -> None:
    """List how many packets of each sku every store has, by what has become of them."""
    found = ask(read_settings(), shelves)
    if not as_json:
        click.echo(f"{'store':<16} {'sku':<20}" + "".join(f"{state:>11}" for state in STATES))
    for shelf in found:
        click.echo(json.dumps(_fields(shelf)) if as_json else _line(shelf))


@stock_group.command("add")
@click.argument("store_id", metavar="[STORE]", required=False)
@click.argument("sku", required=False)
@click.argument("quantity", type=click.IntRange(1, 1_000_000), required=False)
@click.option("--best-before", type=click.DateTime(), help=f"UTC; in {FRESH_DAYS} days if it is not given.")
@click.option("--file", type=click.File("rb"), help="StockReceived documents, one JSON object a line; - for stdin.")
def add_stock(
    store_id: str | None, sku: str | None, quantity: int | None, best_before: datetime | None, file: BinaryIO | None
) -> None:
    """Have the store receive QUANTITY new packets of SKU, or what a file says.

    Publishes StockReceived; the running store worker does the rest. Exits with 2 if the input is wrong, 3 if the
    broker cannot be reached. Settings: BROKER_URL, or CLIENT_BROKER_URL for a user of one's own.
    """
    if file is not None and best_before is not None:
        raise click.UsageError("--best-before is not for --file, whose documents say it themselves")
    if file is not None and store_id is None:
        requests = [request for _, request in read_lines(RequestReader(StockReceived), file)]
    elif file is None and store_id and sku and quantity:
        requests = list(_received(store_id, sku, quantity, best_before))
    else:
        raise click.UsageError("say STORE, SKU and QUANTITY, or --file")
    publish("store_worker", "stock add", requests)
    click.echo(f"{len(requests)} StockReceived published")


def _received(store_id: str, sku: str, quantity: int, best_before: datetime | None) -> Iterator[Request]:
    fresh = best_before.replace(tzinfo=UTC) if best_before else datetime.now(UTC) + timedelta(days=FRESH_DAYS)
    for first in range(0, quantity, PACKETS_A_DOCUMENT):
        names = tuple(f"P-{uuid4().hex}" for _ in range(min(PACKETS_A_DOCUMENT, quantity - first)))
        yield write(StockReceived, store_id=store_id, sku=sku, best_before=fresh, packet_ids=names)


def _line(shelf: Shelf) -> str:
    return f"{shelf.store_id:<16} {shelf.sku:<20}" + "".join(f"{shelf.counts.get(state, 0):>11}" for state in STATES)


def _fields(shelf: Shelf) -> dict[str, str | int]:
    return {"store_id": shelf.store_id, "sku": shelf.sku} | {state: shelf.counts.get(state, 0) for state in STATES}
