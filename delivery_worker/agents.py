"""Agents as the units of the protocol."""

from collections.abc import Mapping, Sequence

from delivery_worker import queries
from delivery_worker.allocation import AGENT, pool_of, wants_of
from messages.contracts.delivery import ReserveAgent
from messages.participant.allocation import Pool, Shelf, Want
from messages.participant.participant import Moves
from messages.transport.postgres import Collision
from messages.transport.service import Transaction


class Agents:
    """One agent an order, the longest idle of its zone first."""

    def wants(self, reserve: ReserveAgent) -> Sequence[Want]:
        return wants_of(reserve)

    async def find(self, tx: Transaction, needs: Sequence[Want], *, waiting: bool) -> Mapping[Shelf, Pool]:
        found = await queries.lock_idle(tx, needs, waiting=waiting)
        return {(each.zone, AGENT): pool_of(each, waiting=waiting) for each in found}

    async def move(self, tx: Transaction, moves: Moves) -> None:
        if moves.taken and await queries.take(tx, *zip(*moves.taken, strict=True)) != len(moves.taken):
            raise Collision("an agent is no longer idle")
        back = [(*each, False) for each in moves.given_back] + [(*each, True) for each in moves.fulfilled]
        if back:
            await queries.let_go(tx, *zip(*back, strict=True))

    async def forget(self, tx: Transaction, unit_ids: Sequence[str]) -> None:
        """An agent works on: he remembers nothing of orders he has delivered."""
