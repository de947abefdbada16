"""Packets as the units of the protocol: what an order wants of them, and what it hears when they do not suffice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from messages.contracts.store import ReservePackets
from messages.participant.allocation import Pool, Shelf, Want
from messages.participant.participant import Moves
from messages.transport.postgres import Collision
from messages.transport.service import Transaction
from store_worker import queries
from store_worker.allocation import pool_of, wants_of


@dataclass(frozen=True, slots=True)
class Packets:
    """Packets are lent only while they are fresh: a margin before best-before they stay on the shelf."""

    best_before_margin_seconds: float

    def wants(self, reserve: ReservePackets) -> Sequence[Want]:
        return wants_of(reserve)

    async def find(self, tx: Transaction, needs: Sequence[Want], *, waiting: bool) -> Mapping[Shelf, Pool]:
        found = await queries.lock_on_shelf(tx, needs, self.best_before_margin_seconds, waiting=waiting)
        return {(each.store_id, each.sku): pool_of(each, waiting=waiting) for each in found}

    async def move(self, tx: Transaction, moves: Moves) -> None:
        # What is fulfilled keeps its order: that the packets are gone, the reservation says.
        given_back = [(packet_id, order_id, None) for packet_id, order_id in moves.given_back]
        taken = [(packet_id, None, order_id) for packet_id, order_id in moves.taken]
        rows: list[tuple[str, UUID | None, UUID | None]] = [*given_back, *taken]
        if not rows:
            return
        packet_ids, old_orders, new_orders = zip(*rows, strict=True)
        if await queries.move(tx, packet_ids, old_orders, new_orders) != len(taken):
            raise Collision("a packet is no longer on the shelf")

    async def forget(self, tx: Transaction, unit_ids: Sequence[str]) -> None:
        await queries.close(tx, unit_ids)
