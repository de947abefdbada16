"""The worlds that a few orders can come to on an adversarial network, and the ways from each to others.

The network is a bag: a message that is sent lies in it in some copies, and each is received at any time, in any order,
or, where loss is allowed, never. Leases run out, deadlines pass, customers cancel, participants ask, all at any time.
"""

from collections.abc import Iterator
from typing import NamedTuple

from messages.contracts.order import CancelOrder, OrderNotPlaced, OrderPlaced
from messages.contracts.participation import Reserve
from messages.participant.reservation import HOLDING, Reservation
from order_saga.state import Phase, Saga
from tests.unit.saga_model.decisions import TOLD, Step
from tests.unit.saga_model.parties import ROLES, Party
from tests.unit.saga_model.steps import Steps

ALLOWED = {None: 0, "placed": TOLD[OrderPlaced], "not_placed": TOLD[OrderNotPlaced]}


def outcome_of(saga: Saga | None) -> str | None:
    """`placed`, `not_placed`, or None while it is undecided."""
    if saga is None or saga.undecided:
        return None
    return "placed" if saga.phase is Phase.PLACED else "not_placed"


class Violation(Exception):
    """An invariant does not hold; the text tells the way there."""


class Change(NamedTuple):
    """What a step does to a world: `world & keep | put`."""

    label: str
    keep: int
    put: int


class Network:
    """Orders that want the same single packet and the same single agent.

    A world is one integer: six bits for the state of each party, two for what was told of each order, two for the
    time, two for the repeats left; and above them the bag, two bits a message.
    """

    def __init__(self, steps: Steps, copies: int, *, repeats: int, loss: bool, inquiries: bool) -> None:
        self.steps, self.orders = steps, range(len(steps.order_ids))
        self.copies, self.loss, self.inquiries = copies, loss, inquiries
        self.shift = {party: 6 * place for place, party in enumerate(self.steps.parties)}
        self.told_at = 6 * len(self.shift)
        self.time_at = self.told_at + 2 * len(self.orders)
        self.repeats_at = self.time_at + 2
        self.bag_at = self.repeats_at + 2
        self.states_mask = (1 << self.told_at) - 1
        self.order_mask = [(1 << 6 * len(ROLES)) - 1 << 6 * len(ROLES) * order for order in self.orders]
        self.dead: dict[tuple[int, int], int] = {}
        self.bag_mask = (1 << 2 * len(self.steps.to)) - 1 << self.bag_at
        self.is_reserve = [isinstance(message, Reserve) for message in self.steps.messages.things]
        self.hearing: dict[tuple[int, int, int, bool], tuple[Change, ...]] = {}
        self.waiting: dict[tuple[int, int], tuple[Change, ...]] = {}
        requests = sum(copies << self.bag_at + 2 * number for number in self.steps.requests)
        self.first = requests | repeats << self.repeats_at

    def _next(self, world: int) -> Iterator[tuple[int, str]]:
        bag = world >> self.bag_at
        while bag:
            number = (bag & -bag).bit_length() - 1 >> 1
            bag &= ~(3 << 2 * number)
            rest = world - (1 << self.bag_at + 2 * number)
            if self.loss or isinstance(self.steps.messages.things[number], CancelOrder):
                yield rest, "lost"
            for change in self._hear(world, number):
                yield rest & change.keep | change.put, change.label
        if (world >> self.time_at & 3) + 1 < len(self.steps.clocks):
            yield world + (1 << self.time_at), "time passes"
        for order in self.orders:
            yield from self._next_without_message(world, order)

    def _next_without_message(self, world: int, order: int) -> Iterator[tuple[int, str]]:
        """Repeats are limited, and questions are not repeated while one is under way: else there were no end of it."""
        for change in self._wait(world, order):
            if change.label == "repeat":
                if world >> self.repeats_at & 3:
                    yield world - (1 << self.repeats_at) & change.keep | change.put, change.label
            elif change.label != "asks" or (self.inquiries and not world & change.put & self.bag_mask):
                yield world & change.keep | change.put, change.label

    def _hear(self, world: int, number: int) -> tuple[Change, ...]:
        """The changes that hearing a message brings; the same for all worlds in which its order stands the same."""
        party = self.steps.to[number]
        states, time = world & self.order_mask[party[0]], world >> self.time_at & 3
        free = self.is_reserve[number] and self._would_reserve(world, party)
        key = (states, number, time, free)
        if key not in self.hearing:
            steps = self.steps.hear(party, self._state(world, party), number, time, free=free)
            self.hearing[key] = tuple(self._change(states, party, step) for step in steps)
        return self.hearing[key]

    def _would_reserve(self, world: int, party: Party) -> bool:
        return self._is_free(world, party)

    def _wait(self, world: int, order: int) -> tuple[Change, ...]:
        """The changes that the parties of an order bring about without a message."""
        states = world & self.order_mask[order]
        if (order, states) not in self.waiting:
            self.waiting[order, states] = tuple(
                self._change(states, party, step)
                for party in self.steps.parties
                if party[0] == order
                for step in self.steps.wait(party, self._state(world, party))
            )
        return self.waiting[order, states]

    def _change(self, states: int, party: Party, step: Step) -> Change:
        if step.wrong:
            raise Violation(step.wrong)
        after = states ^ (self._state(states, party) ^ step.after) << self.shift[party]
        said = sum(self.copies << self.bag_at + 2 * number for number in set(step.outgoing))
        emptied = sum(3 << self.bag_at + 2 * number for number in step.outgoing) | self._dead(after, party[0])
        told = step.told << self.told_at + 2 * party[0]
        keep = ~(self.order_mask[party[0]] | emptied)
        return Change(step.label, keep, after | told | said & ~self._dead(after, party[0]))

    def _state(self, world: int, party: Party) -> int:
        return world >> self.shift[party] & 63

    # What can have no effect any more, whenever it is heard, is taken away at once: it only multiplies the worlds.

    def _dead(self, states: int, order: int) -> int:
        """The part of the bag that is about the order and has no effect any more."""
        if (order, states) not in self.dead:
            about = (number for number, to in enumerate(self.steps.to) if to[0] == order)
            self.dead[order, states] = sum(
                3 << self.bag_at + 2 * number for number in about if self._is_dead(states, number, ())
            )
        return self.dead[order, states]

    def _is_dead(self, states: int, number: int, asked_by: tuple[int, ...]) -> bool:
        """In no future of who hears it does it change anything, nor cause to be said what is not dead itself."""
        if number in asked_by:
            return False
        party = self.steps.to[number]
        return all(
            step.after == state
            and not step.wrong
            and not step.told & ~ALLOWED[self._outcome(party, state)]
            and all(self._is_dead(states, each, (*asked_by, number)) for each in step.outgoing)
            for state in self.steps.futures(party, self._state(states, party))
            for step in self.steps.hear_ever(party, state, number)
        )

    def _outcome(self, party: Party, state: int) -> str | None:
        thing = self.steps.states[party].things[state]
        return outcome_of(thing) if isinstance(thing, Saga) else None

    def _held(self, world: int, party: Party) -> Reservation:
        held: Reservation = self.steps.states[party].things[self._state(world, party)]
        return held

    def _is_free(self, world: int, party: Party) -> bool:
        """No other order holds the unit."""
        others = ((order, party[1]) for order in self.orders if order != party[0])
        return all(self._held(world, other).state not in HOLDING for other in others)
