"""Tells people and machines, on standard output, what the store has, and what would be withdrawn of it."""

import json
from collections.abc import Iterator

import click

from messages.transport.command_line.printing import aware, counted, utc
from messages.transport.command_line.reading import PublishedViews
from store_worker.published import Choice, Packet, Shelf, packets, shelves
from store_worker.withdrawal import Withdrawal

STATES = ("free", "reserved", "assigned", "confirmed", "fulfilled", "retired")
PACKET_HEADING = (
    f"{'packet':<36} {'store':<16} {'sku':<20} {'state':<20} {'order':<36} {'best before':<19} {'received at':<19}"
)
NO_ORDER = "-"


async def tell_shelves(reader: PublishedViews, choice: Choice, as_json: bool) -> None:
    found = await shelves(reader, choice)
    if not as_json:
        click.echo(f"{'store':<16} {'sku':<20}" + "".join(f"{state:>11}" for state in STATES))
    for shelf in found:
        click.echo(json.dumps(_shelf_fields(shelf)) if as_json else _shelf_line(shelf))


async def tell_packets(reader: PublishedViews, choice: Choice, as_json: bool) -> None:
    if not as_json:
        click.echo(PACKET_HEADING)
    async for packet in packets(reader, choice):
        click.echo(json.dumps(_packet_fields(packet)) if as_json else _packet_line(packet))


def tell_withdrawal(store_id: str, withdrawal: Withdrawal) -> None:
    """`store-1: 3 packets to withdraw: 2 free, 1 confirmed`, and those that orders have, each in a line."""
    for line in _withdrawal_lines(store_id, withdrawal):
        click.echo(line)


def _withdrawal_lines(store_id: str, withdrawal: Withdrawal) -> Iterator[str]:
    counts = ", ".join(f"{number} {state}" for state, number in withdrawal.counts.items())
    yield f"{store_id}: {_packets(len(withdrawal.packet_ids))} to withdraw{counts and f': {counts}'}"
    if withdrawal.held:
        yield PACKET_HEADING
    for packet in withdrawal.held:
        yield _packet_line(packet)


def _packets(number: int) -> str:
    return counted(number, "packet") if number else "no packets"


def _shelf_line(shelf: Shelf) -> str:
    return f"{shelf.store_id:<16} {shelf.sku:<20}" + "".join(f"{shelf.counts.get(state, 0):>11}" for state in STATES)


def _shelf_fields(shelf: Shelf) -> dict[str, str | int]:
    return {"store_id": shelf.store_id, "sku": shelf.sku} | {state: shelf.counts.get(state, 0) for state in STATES}


def _packet_line(packet: Packet) -> str:
    state = f"{packet.state}, withdrawn" if packet.withdrawn else packet.state
    return (
        f"{packet.packet_id:<36} {packet.store_id:<16} {packet.sku:<20} {state:<20} {packet.order_id or NO_ORDER!s:<36}"
        f" {utc(packet.best_before)} {utc(packet.received_at)}"
    )


def _packet_fields(packet: Packet) -> dict[str, str | bool | None]:
    return packet._asdict() | {
        "order_id": str(packet.order_id) if packet.order_id else None,
        "best_before": aware(packet.best_before).isoformat(),
        "received_at": packet.received_at.isoformat(),
    }
