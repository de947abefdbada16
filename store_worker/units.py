"""Packets as the units of the protocol: how they are found, and how they change hands."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from messages.contracts.store import ReservePackets
from messages.participant.allocation import Pool, Shelf, Want
from messages.participant.participant import Moves
from messages.transport.database.transactions import Transaction
from messages.transport.database.writing import Write
from store_worker import queries
from store_worker.allocation import pool_of, wants_of


@dataclass(frozen=True, slots=True)
class Packets:
    """Packets are reserved only while they are fresh: not within a margin before their best-before."""

    best_before_margin_seconds: float
    fulfilled_are_free = False

    def wants(self, reserve: ReservePackets) -> Sequence[Want]:
        return wants_of(reserve)

    async def find(self, tx: Transaction, needs: Sequence[Want], *, waiting: bool) -> Mapping[Shelf, Pool]:
        found = await queries.find_on_shelf(tx, needs, self.best_before_margin_seconds, waiting=waiting)
        return {(each.store_id, each.sku): pool_of(each) for each in found}

    def move(self, moves: Moves) -> Iterable[Write]:
        # Fulfilled packets keep their order: their reservation says that they are gone.
        if moves.given_back:
            yield queries.give_back(*zip(*moves.given_back, strict=True))
        if moves.taken:
            yield queries.take(*zip(*moves.taken, strict=True))

    async def forget(self, tx: Transaction, unit_ids: Sequence[str]) -> None:
        await queries.close(tx, unit_ids)
