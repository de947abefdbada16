"""Handles a batch: units that come or go; for orders, find units, read reservations, decide, write, answer."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from types import MappingProxyType
from typing import TypeAlias
from uuid import UUID

from messages.contracts.message import Message
from messages.contracts.participation import Reserve
from messages.participant import queries
from messages.participant.allocation import Allocation, Pool, Shelf, allocate, total_demand
from messages.participant.answers import decide
from messages.participant.participant import ORCHESTRATOR, Moves, Participant
from messages.participant.queries import Change
from messages.participant.reservation import HOLDING, Context, Decision, Reservation, State
from messages.transport.database.lock_mode import LockMode
from messages.transport.database.row_cache import MOST_UNITS, RowCache
from messages.transport.database.transactions import Transaction
from messages.transport.database.writing import Write
from messages.transport.faults import Collision, TooMuchAtOnce
from messages.transport.handled import Alarm, Handled, Outgoing, TimelineEntry
from messages.transport.incoming import Incoming
from messages.transport.service import Handle

BATCH_UNITS = 20_000
"""About so many units a batch: one order may have thousands, and a batch would take too much memory, or too long."""
HandleUnits: TypeAlias = Callable[[Transaction, Sequence[Incoming]], Awaitable[Handled]]
"""(transaction, all documents of a batch) -> the result of those about units that come or go."""


def handle_for(participant: Participant, row_cache: RowCache[Reservation], handle_units: HandleUnits) -> Handle:
    """The `handle` of a participant's service: answers commands, and keeps track of the units that come and go."""

    async def handle(tx: Transaction, documents: Sequence[Incoming], lock_mode: LockMode) -> Handled:
        about_orders = [document for document in documents if document.message.ABOUT_AN_ORDER]
        if len(about_orders) == len(documents):
            return await _handle_orders(participant, row_cache, tx, documents, lock_mode)
        # Units first: what has just come can be reserved, and what has gone is not assigned any more.
        units = await handle_units(tx, documents)
        if not about_orders:
            return units
        handled = await _handle_orders(participant, row_cache, tx, about_orders, lock_mode)
        handled.add(units)
        return handled

    return handle


async def _handle_orders(
    participant: Participant,
    row_cache: RowCache[Reservation],
    tx: Transaction,
    documents: Sequence[Incoming],
    lock_mode: LockMode,
) -> Handled:
    """Handle messages about orders, in order of arrival.

    In `BLOCKING` nothing is to be looked at again. Raises Collision if a unit that was waited for was taken meanwhile:
    another may have been freed by the very transaction that took it, and this statement's snapshot does not show it.
    Raises TooMuchAtOnce if these are several documents about more than `BATCH_UNITS` units, or if `Units.move` does.
    """
    # Units are locked before reservations are read: a transaction that waits for a unit holds nothing that another
    # one waits for, and a lease begins when its units are held.
    reserves = [document for document in documents if _asks_for_units(type(document.message))]
    pools = await _find(participant, tx, reserves, waiting=lock_mode >= LockMode.BLOCKING)
    order_ids, new = {document.order_id for document in documents}, {document.order_id for document in reserves}
    most_units = BATCH_UNITS if len(documents) > 1 else None
    known = await row_cache.load(lock_mode, order_ids, new, partial(queries.read, tx, most_units))
    batch = Batch(participant, known.now, pools, known.rows, may_look_again=lock_mode < LockMode.BLOCKING)
    for document in documents:
        batch.handle(document)
    changes = batch.changes()
    batch.handled.writes = writes(participant, changes, batch.places) + row_cache.guards(known, batch.after.keys())
    batch.handled.changes = [change for change in changes if _may_be_cached(change[1])]
    return batch.handled


@cache
def _asks_for_units(kind: type[Message]) -> bool:
    return issubclass(kind, Reserve)


async def _find(
    participant: Participant, tx: Transaction, reserves: Sequence[Incoming], *, waiting: bool
) -> Mapping[Shelf, Pool]:
    wants = [want for document in reserves for want in participant.units.wants(document.message)]
    if len(reserves) > 1 and sum(want.quantity for want in wants) > BATCH_UNITS:
        raise TooMuchAtOnce(f"orders that want more than {BATCH_UNITS} units")
    return await participant.units.find(tx, total_demand(wants), waiting=waiting) if wants else {}


@dataclass(slots=True)
class Batch:
    """Decisions folded in order of arrival: each message meets the reservation as those before it left it."""

    participant: Participant
    now: datetime
    pools: Mapping[Shelf, Pool]
    before: Mapping[UUID, Reservation]
    may_look_again: bool
    after: dict[UUID, Reservation] = field(default_factory=dict)
    places: dict[UUID, str] = field(default_factory=dict)
    handled: Handled = field(default_factory=Handled)
    _freed: bool = False

    def handle(self, document: Incoming) -> None:
        message = document.message
        order_id = document.order_id
        current = self.after.get(order_id) or self.before.get(order_id) or Reservation(order_id)
        decision = decide(
            current, Context(message, self.now, self.participant.timing, self._allocate, document.traceparent)
        )
        if decision.look_again:
            self._look_again(document)
            return
        if decision.reservation is not current:
            self.after[order_id] = decision.reservation
            self._freed = self._freed or self._frees(current, decision.reservation)
        self._report(document, order_id, decision)

    def changes(self) -> list[Change]:
        return [(self.before.get(order_id), after) for order_id, after in self.after.items()]

    def _allocate(self, reserve: Reserve) -> Allocation:
        wants = self.participant.units.wants(reserve)
        allocation = allocate(wants, self.pools)
        if allocation.reason is not None and self._freed and self.may_look_again:
            return Allocation(conclusive=False)  # what was given back earlier in this batch is not in the pools
        self.places[reserve.order_id] = wants[0].shelf[0]
        return allocation

    def _frees(self, before: Reservation, after: Reservation) -> bool:
        if after.state is State.FULFILLED:
            return self.participant.units.fulfilled_are_free
        return before.state in HOLDING and not after.unit_ids

    def _look_again(self, document: Incoming) -> None:
        if not self.may_look_again:
            raise Collision("units that were waited for were taken")
        self.handled.look_again.append(document)

    def _report(self, document: Incoming, order_id: UUID, decision: Decision) -> None:
        if decision.reply is not None:
            answer = self.participant.message_for(order_id, decision)
            self.handled.outgoing.append(Outgoing(answer, ORCHESTRATOR, document))
        if decision.note:
            event = type(document.message).__name__
            self.handled.timeline.append(TimelineEntry(order_id, event, decision.note, document.message_id))
        if decision.alarm is not None:
            detail = f"{self.participant.name}: {type(document.message).__name__} while {decision.reservation.state}"
            self.handled.alarms.append(Alarm(decision.alarm, order_id, detail, document))


def writes(
    participant: Participant, changes: Sequence[Change], places: Mapping[UUID, str] = MappingProxyType({})
) -> list[Write]:
    """Write reservations and the moves of their units. `places`: order -> where the units it took were found."""
    return [*queries.write(changes), *participant.units.move(moves_of(changes, places))]


def moves_of(changes: Iterable[Change], places: Mapping[UUID, str]) -> Moves:
    """Which units change hands. Units taken and given back within one batch do not move."""
    moves = Moves(places=places)
    for before, after in changes:
        if before is None:
            moves.taken += [(unit_id, after.order_id) for unit_id in after.unit_ids]
        elif before.state in HOLDING and not after.unit_ids:
            moves.given_back += [(unit_id, after.order_id) for unit_id in before.unit_ids]
        if after.state is State.FULFILLED and (before is None or before.state is not State.FULFILLED):
            moves.fulfilled += [(unit_id, after.order_id) for unit_id in after.unit_ids]
    return moves


def _may_be_cached(reservation: Reservation) -> bool:
    """Not with an unfit unit: one that becomes fit again changes no version."""
    return reservation.unfit is None and len(reservation.unit_ids) <= MOST_UNITS
