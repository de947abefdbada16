"""Agents as the units of the protocol: how they are found, and how they change hands."""

from collections.abc import Iterable, Mapping, Sequence

from delivery_worker import queries
from delivery_worker.allocation import AGENT, pool_of, wants_of
from messages.contracts.delivery import ReserveAgent
from messages.participant.allocation import Pool, Shelf, Want
from messages.participant.participant import Moves
from messages.transport.database.transactions import Transaction
from messages.transport.database.writing import Write
from messages.transport.faults import TooMuchAtOnce


class Agents:
    """One agent an order, the longest idle of its zone first."""

    fulfilled_are_free = True

    def wants(self, reserve: ReserveAgent) -> Sequence[Want]:
        return wants_of(reserve)

    async def find(self, tx: Transaction, needs: Sequence[Want], *, waiting: bool) -> Mapping[Shelf, Pool]:
        found = await queries.find_idle(tx, needs, waiting=waiting)
        return {(each.zone, AGENT): pool_of(each) for each in found}

    def move(self, moves: Moves) -> Iterable[Write]:
        if not set(moves.taken).isdisjoint(moves.fulfilled):
            # All is written in one statement, which sees every agent row as it was before it.
            raise TooMuchAtOnce("a Reserve, and the delivery of the same order")
        if moves.taken:
            agent_ids, order_ids = zip(*moves.taken, strict=True)
            yield queries.take(agent_ids, order_ids, [moves.places[order_id] for order_id in order_ids])
        back = [(*each, False) for each in moves.given_back] + [(*each, True) for each in moves.fulfilled]
        if back:
            yield queries.let_go(*zip(*back, strict=True))

    async def forget(self, tx: Transaction, unit_ids: Sequence[str]) -> None:
        """Nothing to do: an agent's row keeps nothing of the orders they delivered."""
