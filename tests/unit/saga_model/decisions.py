"""What one party does with one message, or without any, decided by the production code."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from messages.contracts.message import Message
from messages.contracts.order import OrderNotPlaced, OrderPlaced, RequestRejected
from messages.participant import answers, due, reservation
from messages.participant.allocation import Allocation
from messages.participant.reservation import Reservation, State
from messages.transport.addresses import OUTCOMES
from messages.transport.incoming import Incoming
from order_saga import saga as sagas
from order_saga.saga import PLACED_BUT_NOT_HELD
from order_saga.state import Decision, Phase, Saga
from tests.unit.saga_model.numbering import Numbering
from tests.unit.saga_model.parties import EARLY, LATE, MUCH_LATER, ROLES, SAGA, TERMS, WORKERS, WORKERS_TERMS, Party

TOLD = {OrderPlaced: 1, OrderNotPlaced: 2, RequestRejected: 0}
"""Bits that stand for what the customer was told."""


class Step(NamedTuple):
    """What one local decision leads to."""

    label: str
    after: int
    outgoing: tuple[int, ...] = ()
    told: int = 0
    wrong: str = ""
    """What must never happen, if this does."""


class Decisions(Numbering):
    """The local steps that the production code decides on, numbered. `losing`: participants may lose what they hold."""

    def __init__(self, orders: int, *, losing: bool = False) -> None:
        super().__init__(orders)
        self.losing = losing

    def _hear(self, party: Party, before: int, number: int, clock: datetime, *, free: bool) -> Iterator[Step]:
        message, state = self.messages.things[number], self.states[party].things[before]
        if party[1] != SAGA:
            yield self._worker_hears(party, state, message, clock, free=free)
        elif state is None:
            yield self._of_saga(party, message, None, sagas.start(Incoming(message, UUID(int=0), ""), EARLY, TERMS))
        else:
            for now in (EARLY, LATE):
                yield self._of_saga(
                    party, message, state, sagas.advance(state, Incoming(message, UUID(int=0), ""), now, TERMS)
                )

    def _worker_hears(self, party: Party, held: Reservation, message: Message, clock: datetime, *, free: bool) -> Step:
        offer = Allocation((f"{ROLES[party[1]]}-1",)) if free else Allocation(reason="out_of_stock")
        heard = reservation.Context(message, clock, WORKERS_TERMS, lambda _: offer, "")
        return self._of_worker(party, type(message).__name__, held, answers.decide(held, heard))

    def _wait(self, party: Party, before: int) -> Iterator[Step]:
        state = self.states[party].things[before]
        if isinstance(state, Reservation):
            if state.state in (State.RESERVED, State.ASSIGNED):
                if self.losing and state.unfit is None:
                    yield self._loses(party, state)
                label = "asks" if state.state is State.ASSIGNED else "lease over"
                yield self._of_worker(party, label, state, due.fall_due(state, MUCH_LATER, WORKERS_TERMS))
        elif state is not None:
            yield self._of_saga(party, "repeat", state, sagas.fall_due(state, EARLY + TERMS.repeat_base, 0.5, TERMS))
            yield self._of_saga(party, "deadline", state, sagas.fall_due(state, LATE, 0.5, TERMS))

    def _loses(self, party: Party, held: Reservation) -> Step:
        """As `Loss.report` has it."""
        refused = reservation.refusal(held, "gone") if held.state is State.ASSIGNED else reservation.Decision(held)
        return self._of_worker(party, "loses", held, refused._replace(reservation=held._replace(unfit="gone")))

    def _of_saga(self, party: Party, what: Message | str, before: Saga | None, decision: Decision) -> Step:
        label = what if isinstance(what, str) else type(what).__name__
        alarms = {name for name, _ in decision.alarms} - ({PLACED_BUT_NOT_HELD} if self.losing else set())
        wrong = f"{label} while {before and before.phase}: {alarms}" if alarms else ""
        if before and before.phase in (Phase.PLACED, Phase.CLOSED) and decision.saga is not before:
            wrong = f"I5: {label} changes what is {before.phase}"
        said = [self._message(message, to) for message, to in decision.outgoing if to.exchange != OUTCOMES]
        told = {TOLD[type(message)] for message, to in decision.outgoing if to.exchange == OUTCOMES}
        return Step(label, self._saga(party, decision.saga), tuple(said), sum(told), wrong)

    def _of_worker(self, party: Party, label: str, before: Reservation, decision: reservation.Decision) -> Step:
        after = decision.reservation
        alarm = decision.alarm if decision.alarm != answers.PLACED_THOUGH_GONE else None
        wrong = f"{label} while {before.state} with {ROLES[party[1]]}: {alarm}" if alarm else ""
        said: list[Message] = []
        if decision.reply is not None:
            said = [WORKERS[ROLES[party[1]]].message_for(after.order_id, decision)]
        return Step(label, self._reservation(party, after), tuple(self._message(m, None) for m in said), 0, wrong)
