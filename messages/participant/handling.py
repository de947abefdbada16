"""A batch of messages about orders, from first to last: find units, read reservations, decide, write, answer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from uuid import UUID

from messages.contracts.message import Message
from messages.contracts.participation import Reserve
from messages.participant import queries
from messages.participant.allocation import Offer, Pool, Shelf, needs, offer
from messages.participant.answers import decide
from messages.participant.participant import Moves, Participant
from messages.participant.queries import Change
from messages.participant.reservation import HOLDING, Decision, Heard, Reservation, State
from messages.transport.addresses import ORCHESTRATOR
from messages.transport.service import Alarm, Handled, Incoming, Note, Said, Transaction, Write


async def handle(participant: Participant, tx: Transaction, documents: Sequence[Incoming], waiting: bool) -> Handled:
    """Handle messages about orders, in order of arrival. `waiting`: no miss is blamed on a lock any more."""
    # Units are locked before reservations are read: whoever waits for a unit holds nothing another one waits for,
    # and a lease begins when its units are held.
    pools = await _find(participant, tx, documents, waiting=waiting)
    clock, known = await queries.read(tx, {_order_id(document) for document in documents})
    batch = Batch(participant, clock, pools, known)
    for document in documents:
        batch.hear(document)
    batch.handled.writes = writes(participant, batch.changes())
    return batch.handled


def writes(participant: Participant, changes: Sequence[Change]) -> list[Write]:
    """Write reservations and what follows for the units."""
    return [*queries.write(changes), *participant.units.move(moves_of(changes))]


@dataclass(slots=True)
class Batch:
    """Decisions folded in order of arrival: each message meets the reservation as those before it left it."""

    participant: Participant
    clock: datetime
    pools: Mapping[Shelf, Pool]
    before: Mapping[UUID, Reservation]
    after: dict[UUID, Reservation] = field(default_factory=dict)
    handled: Handled = field(default_factory=Handled)

    def hear(self, document: Incoming) -> None:
        message = document.message
        order_id = _order_id(document)
        current = self.after.get(order_id) or self.before.get(order_id) or Reservation(order_id)
        decision = decide(
            current, Heard(message, self.clock, self.participant.terms, self._offer, document.traceparent)
        )
        if decision.look_again:
            self.handled.look_again.append(document)
            return
        if decision.reservation is not current:
            self.after[order_id] = decision.reservation
        self._report(document, order_id, decision)

    def changes(self) -> list[Change]:
        return [
            Change(self.before.get(order_id) or Reservation(order_id), after) for order_id, after in self.after.items()
        ]

    def _offer(self, reserve: Reserve) -> Offer:
        return offer(self.participant.units.wants(reserve), self.pools)

    def _report(self, document: Incoming, order_id: UUID, decision: Decision) -> None:
        if decision.say is not None:
            answer = self.participant.say(order_id, decision)
            self.handled.said.append(Said(answer, ORCHESTRATOR, document))
        if decision.told:
            event = type(document.message).__name__
            self.handled.story.append(Note(order_id, event, decision.told, document.message_id))
        if decision.alarm is not None:
            detail = f"{self.participant.name}: {type(document.message).__name__} while {decision.reservation.state}"
            self.handled.alarms.append(Alarm(decision.alarm, order_id, detail))


def moves_of(changes: Iterable[Change]) -> Moves:
    """Which units change hands. An order that took and lost units in one batch never had them."""
    moves = Moves()
    for before, after in changes:
        if before.state is State.ABSENT:
            moves.taken += ((unit_id, after.order_id) for unit_id in after.unit_ids)
        elif before.state in HOLDING and not after.unit_ids:
            moves.given_back += ((unit_id, after.order_id) for unit_id in before.unit_ids)
        if after.state is State.FULFILLED and before.state is not State.FULFILLED:
            moves.fulfilled += ((unit_id, after.order_id) for unit_id in after.unit_ids)
    return moves


async def _find(
    participant: Participant, tx: Transaction, documents: Sequence[Incoming], *, waiting: bool
) -> Mapping[Shelf, Pool]:
    wants = [
        want
        for document in documents
        if _asks_for_units(type(document.message))
        for want in participant.units.wants(document.message)
    ]
    return await participant.units.find(tx, needs(wants), waiting=waiting) if wants else {}


@cache
def _asks_for_units(kind: type[Message]) -> bool:
    return issubclass(kind, Reserve)


def _order_id(document: Incoming) -> UUID:
    assert document.message.order_id is not None, "only messages about orders come here"
    return document.message.order_id
