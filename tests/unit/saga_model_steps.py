"""The local steps of a model of the saga: what one party does with one message, decided by the production code.

Parties, states and messages are numbered; what no decision depends on is made equal first. There are few of each, so
every step is computed once, before any search begins.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeAlias, cast
from uuid import UUID

from messages.contracts.delivery import DELIVERY, AgentAssigned, AgentRefused, AgentReleased, AgentReserved
from messages.contracts.message import Message
from messages.contracts.order import (
    CancelOrder,
    Line,
    OrderNotPlaced,
    OrderPlaced,
    OrderRequested,
    RequestRejected,
)
from messages.contracts.participation import Refused, Reserve
from messages.contracts.store import STORE, PacketsAssigned, PacketsRefused, PacketsReleased, PacketsReserved
from messages.participant import answers, due, reservation
from messages.participant.allocation import Allocation
from messages.participant.participant import Participant, Units
from messages.participant.reservation import Reservation, State
from messages.transport.addresses import OUTCOMES, Address
from messages.transport.incoming import Incoming
from order_saga import saga as sagas
from order_saga.participants import PARTICIPANTS
from order_saga.state import Decision, Phase, Policy, Saga, Standing

EARLY = datetime(2030, 1, 1, tzinfo=UTC)
LATE = EARLY + timedelta(seconds=20)
"""The lease is over, and the deadline has passed."""
MUCH_LATER = EARLY + timedelta(days=1)

# A lease shorter than the budget is refused as a setting; here it lets leases run out while the order is undecided.
TERMS = Policy(
    budget=timedelta(seconds=15),
    lease_seconds=5,
    repeat_base=timedelta(seconds=1),
    repeat_cap=timedelta(seconds=8),
    release_cap=timedelta(seconds=60),
    alarm_after_repeats=1_000,
    participants={name: PARTICIPANTS[name] for name in (STORE, DELIVERY)},
)
WORKERS_TERMS = reservation.Timing(timedelta(seconds=60), timedelta(days=1))

ROLES = ("saga", STORE, DELIVERY)
SAGA = 0
TOLD = {OrderPlaced: 1, OrderNotPlaced: 2, RequestRejected: 0}
"""Bits that stand for what the customer was told."""

Party: TypeAlias = tuple[int, int]
"""(order, index of the role)."""


class Step(NamedTuple):
    """What one local decision leads to."""

    label: str
    after: int
    outgoing: tuple[int, ...] = ()
    told: int = 0
    wrong: str = ""
    """What must never happen, if this does."""


@dataclass(slots=True)
class Numbers:
    """Gives equal things the same small number."""

    things: list[Any] = field(default_factory=list)
    numbers: dict[Hashable, int] = field(default_factory=dict)

    def number(self, thing: Any, key: Hashable) -> int:
        if key not in self.numbers:
            self.numbers[key] = len(self.things)
            self.things.append(thing)
        return self.numbers[key]


class Steps:
    """All local steps of all parties, for so many orders at these clocks."""

    def __init__(self, orders: int, clocks: Sequence[datetime], *, cancel: bool) -> None:
        self.clocks = clocks
        self.order_ids = [UUID(int=number + 1) for number in range(orders)]
        self.parties: list[Party] = [(order, role) for order in range(orders) for role in range(len(ROLES))]
        self.states = {party: Numbers() for party in self.parties}
        self.messages = Numbers()
        self.to: list[Party] = []
        self.requests = [self._request(order, kind) for order in range(orders) for kind in range(1 + cancel)]
        self.hearing: dict[tuple[Party, int, int, int, bool], tuple[Step, ...]] = {}
        self.waiting: dict[tuple[Party, int], tuple[Step, ...]] = {}
        self.future: dict[tuple[Party, int], frozenset[int]] = {}
        self._complete()

    def hear(self, party: Party, before: int, number: int, time: int, *, free: bool) -> tuple[Step, ...]:
        """What the party may do with a message; for a participant it depends on the clock and on a unit being free."""
        return self.hearing[party, before, number, time, free]

    def wait(self, party: Party, before: int) -> tuple[Step, ...]:
        """What the party may do without a message: deadline, repeat, lease over, asks."""
        return self.waiting[party, before]

    def futures(self, party: Party, before: int) -> frozenset[int]:
        """The states the party may ever come to from this one, whatever it hears; at least this one."""
        if (party, before) not in self.future:
            found, new = {before}, [before]
            while new:
                after = {step.after for step in self._steps(party, new.pop())} - found
                found |= after
                new += after
            self.future[party, before] = frozenset(found)
        return self.future[party, before]

    def _steps(self, party: Party, before: int) -> Iterator[Step]:
        yield from self.waiting[party, before]
        for number, to in enumerate(self.to):
            if to == party:
                yield from self.hear_ever(party, before, number)

    def hear_ever(self, party: Party, before: int, number: int) -> Iterator[Step]:
        """What the party may do with a message in this state, whenever that is."""
        variants = ((time, free) for time in range(len(self.clocks)) for free in (False, True))
        for steps in {self.hearing[party, before, number, time, free] for time, free in variants}:
            yield from steps

    def _complete(self) -> None:
        """Let every party hear every message in every state, until neither states nor messages are new."""
        for party in self.parties:
            self._first_state(party)
        size = (0, 0)
        while size != (size := (sum(len(each.things) for each in self.states.values()), len(self.messages.things))):
            for party in self.parties:
                for before in range(len(self.states[party].things)):
                    self._complete_state(party, before)

    def _complete_state(self, party: Party, before: int) -> None:
        if (party, before) not in self.waiting:
            self.waiting[party, before] = tuple(self._wait(party, before))
        for number in range(len(self.messages.things)):
            if self.to[number] == party and (party, before, number, 0, False) not in self.hearing:
                for time, clock in enumerate(self.clocks):
                    self._complete_hearing(party, before, number, time, clock)

    def _complete_hearing(self, party: Party, before: int, number: int, time: int, clock: datetime) -> None:
        """The saga does not depend on the participants' clock, and only a Reserve on whether a unit is free."""
        is_reserve = isinstance(self.messages.things[number], Reserve)
        if party[1] == SAGA and time > 0:
            steps = self.hearing[party, before, number, 0, False]
        else:
            steps = tuple(self._hear(party, before, number, clock, free=False))
        self.hearing[party, before, number, time, False] = steps
        if is_reserve:
            steps = tuple(self._hear(party, before, number, clock, free=True))
        self.hearing[party, before, number, time, True] = steps

    # By the production code.

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
        heard = reservation.Context(message, clock, WORKERS_TERMS, lambda _: offer)
        return self._of_worker(party, type(message).__name__, held, answers.decide(held, heard))

    def _wait(self, party: Party, before: int) -> Iterator[Step]:
        state = self.states[party].things[before]
        if isinstance(state, Reservation):
            if state.state in (State.RESERVED, State.ASSIGNED):
                label = "asks" if state.state is State.ASSIGNED else "lease over"
                yield self._of_worker(party, label, state, due.fall_due(state, MUCH_LATER, WORKERS_TERMS))
        elif state is not None:
            yield self._of_saga(party, "repeat", state, sagas.fall_due(state, EARLY + TERMS.repeat_base, 0.5, TERMS))
            yield self._of_saga(party, "deadline", state, sagas.fall_due(state, LATE, 0.5, TERMS))

    def _of_saga(self, party: Party, what: Message | str, before: Saga | None, decision: Decision) -> Step:
        label = what if isinstance(what, str) else type(what).__name__
        wrong = f"{label} while {before and before.phase}: {decision.alarms}" if decision.alarms else ""
        if before and before.phase in (Phase.PLACED, Phase.CLOSED) and decision.saga is not before:
            wrong = f"I5: {label} changes what is {before.phase}"
        said = [self._message(message, to) for message, to in decision.outgoing if to.exchange != OUTCOMES]
        told = {TOLD[type(message)] for message, to in decision.outgoing if to.exchange == OUTCOMES}
        return Step(label, self._saga(party, decision.saga), tuple(said), sum(told), wrong)

    def _of_worker(self, party: Party, label: str, before: Reservation, decision: reservation.Decision) -> Step:
        after = decision.reservation
        wrong = f"{label} while {before.state} with {ROLES[party[1]]}: {decision.alarm}" if decision.alarm else ""
        said: list[Message] = []
        if decision.reply is not None:
            said = [WORKERS[ROLES[party[1]]].message_for(after.order_id, decision)]
        return Step(label, self._reservation(party, after), tuple(self._message(m, None) for m in said), 0, wrong)

    # Numbers.

    def _request(self, order: int, kind: int) -> int:
        line = Line(sku="milk", quantity=1, price_cents=99)
        order_id = self.order_ids[order]
        if kind:
            return self._message(CancelOrder(order_id=order_id), None)
        about: dict[str, Any] = {"customer_id": "C", "store_id": "S", "zone": "Z", "lines": (line,)}
        return self._message(OrderRequested(order_id=order_id, **about), None)

    def _message(self, message: Message, to: Address | None) -> int:
        """`to`: None for the saga."""
        if isinstance(message, Refused):
            message = message.model_copy(update={"reason": "refused"})
        role = SAGA if to is None else ROLES.index(to.key.partition("_")[0])
        number = self.messages.number(message, (type(message), message.model_dump_json(), role))
        if number == len(self.to):
            assert message.order_id is not None
            self.to.append((message.order_id.int - 1, role))
        return number

    def _first_state(self, party: Party) -> None:
        if party[1] == SAGA:
            self._saga(party, None)
        else:
            self._reservation(party, Reservation(self.order_ids[party[0]]))

    def _saga(self, party: Party, saga: Saga | None) -> int:
        if saga is None:
            return self.states[party].number(None, None)
        standing = saga.standing
        if saga.phase is Phase.RELEASING:
            standing = {name: each if each is Standing.RELEASED else Standing.ASKED for name, each in standing.items()}
        elif saga.phase is Phase.CLOSED:
            standing = {}
        times: dict[str, Any] = {"asked_at": EARLY, "due_at": EARLY, "repeats": 0}
        unsaid: dict[str, Any] = {"participant": None, "reason": saga.reason and "refused", "fingerprint": None}
        same = saga._replace(standing=standing, **times, **unsaid)
        return self.states[party].number(same, (same.phase, *standing.items(), "granted", *same.granted.items()))

    def _reservation(self, party: Party, held: Reservation) -> int:
        same = Reservation(held.order_id, held.state, held.reason and "refused", held.unit_ids)
        if held.state is State.RESERVED:
            same = same._replace(expires_at=held.expires_at)
        elif held.state is State.ASSIGNED:
            same = same._replace(assigned_at=EARLY)
        return self.states[party].number(same, same)


WORKERS: dict[str, Any] = {
    STORE: Participant(
        STORE,
        cast("Units", None),  # the model has its own
        WORKERS_TERMS,
        PacketsReserved,
        PacketsRefused,
        lambda order_id, unit_ids: PacketsAssigned(order_id=order_id, packet_ids=unit_ids),
        PacketsReleased,
    ),
    DELIVERY: Participant(
        DELIVERY,
        None,  # type: ignore[arg-type]
        WORKERS_TERMS,
        AgentReserved,
        AgentRefused,
        lambda order_id, unit_ids: AgentAssigned(order_id=order_id, agent_id=unit_ids[0]),
        AgentReleased,
    ),
}
