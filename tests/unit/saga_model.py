"""Every way in which a few orders can go, on an adversarial network.

The network is a bag: a message that is sent lies in it in some copies, and each is received at any time, in any order,
or, where loss is allowed, never. Leases run out, deadlines pass, customers cancel, participants ask, all at any time.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from messages.contracts.order import CancelOrder, OrderNotPlaced, OrderPlaced
from messages.contracts.participation import Reserve
from messages.participant.reservation import HOLDING, Reservation, State
from order_saga.state import Phase, Saga
from tests.unit.saga_model_steps import EARLY, LATE, ROLES, SAGA, TOLD, Party, Step, Steps

ALLOWED = {None: 0, "placed": TOLD[OrderPlaced], "not_placed": TOLD[OrderNotPlaced]}
ROUNDS_TO_RECOVER = 6


class Violation(Exception):
    """An invariant does not hold; the text tells the way there."""


class Change(NamedTuple):
    """What a step does to a world: `world & keep | put`."""

    label: str
    keep: int
    put: int


class Model:
    """Orders that want the same single packet and the same single agent.

    A world is one integer: six bits for the state of each party, two for what was told of each order, two for the
    time, two for the repeats left; and above them the bag, two bits a message.
    """

    def __init__(
        self,
        orders: int,
        copies: int,
        *,
        cancel: bool = False,
        repeats: int = 0,
        loss: bool = False,
        inquiries: bool = True,
        clocks: Sequence[datetime] = (EARLY, LATE),
    ) -> None:
        self.steps = Steps(orders, clocks, cancel=cancel)
        self.orders, self.copies, self.loss, self.inquiries = range(orders), copies, loss, inquiries
        self.shift = {party: 6 * place for place, party in enumerate(self.steps.parties)}
        self.told_at = 6 * len(self.shift)
        self.time_at = self.told_at + 2 * orders
        self.repeats_at = self.time_at + 2
        self.bag_at = self.repeats_at + 2
        self.states_mask = (1 << self.told_at) - 1
        self.order_mask = [(1 << 6 * len(ROLES)) - 1 << 6 * len(ROLES) * order for order in self.orders]
        self.dead: dict[tuple[int, int], int] = {}
        self.checked: set[int] = set()
        self.outcomes: set[str | None] = set()
        """Those that were come across."""
        self.bag_mask = (1 << 2 * len(self.steps.to)) - 1 << self.bag_at
        self.is_reserve = [isinstance(message, Reserve) for message in self.steps.messages.things]
        self.hearing: dict[tuple[int, int, int, bool], tuple[Change, ...]] = {}
        self.waiting: dict[tuple[int, int], tuple[Change, ...]] = {}
        requests = sum(copies << self.bag_at + 2 * number for number in self.steps.requests)
        self.first = requests | repeats << self.repeats_at

    def explore(self, limit: int, *, depth_first: bool = False) -> int:
        """Visit every world; how many there are. Raises Violation. `limit`: give up there, and prove nothing."""
        came_from = {self.first: self.first}
        waiting = deque([self.first])
        take = waiting.pop if depth_first else waiting.popleft
        while waiting:
            world = take()
            try:
                self._check(world)
                for after, _ in self._next(world):
                    if after not in came_from:
                        came_from[after] = world
                        waiting.append(after)
            except Violation as violation:
                raise Violation(f"{violation}, after: {', '.join(self._way(world, came_from))}") from None
            if len(came_from) > limit:
                raise AssertionError(f"more than {limit} worlds: nothing is proved")
        return len(came_from)

    # The ways the world can go on.

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
        saga = self.steps.states[party].things[state]
        return saga.outcome if isinstance(saga, Saga) else None

    # What must hold.

    def _check(self, world: int) -> None:
        visible = world & ((1 << self.time_at) - 1)
        if visible not in self.checked:
            self.checked.add(visible)
            for order in self.orders:
                self._check_order(world, order)
            self._check_recovery(world & self.states_mask)
        if not (world >> self.bag_at or self.loss):
            for order in self.orders:
                self._check_end(world, order, "at rest")

    def _check_order(self, world: int, order: int) -> None:
        saga = self._saga(world, order)
        outcome = saga.outcome if saga else None
        self.outcomes.add(outcome)
        if world >> self.told_at + 2 * order & 3 & ~ALLOWED[outcome]:
            raise Violation(f"I5: told something else than {outcome}")
        for party in self._workers(order):
            held = self._held(world, party)
            if outcome == "placed" and held.state not in (State.ASSIGNED, State.CONFIRMED):
                raise Violation(f"I1: placed, and {held.state} with {ROLES[party[1]]}")
            if outcome != "placed" and held.state is State.CONFIRMED:
                raise Violation(f"I1: not placed, and confirmed by {ROLES[party[1]]}")
            if held.state in HOLDING and saga is not None and saga.phase is Phase.CLOSED:
                raise Violation(f"I3: closed, and {held.state} with {ROLES[party[1]]}")
            if held.state in HOLDING and not self._is_free(world, party):
                raise Violation(f"I2: the unit of {ROLES[party[1]]} belongs to two orders")

    def _check_end(self, world: int, order: int, when: str) -> None:
        """The order is decided, and clean."""
        saga = self._saga(world, order)
        if saga is None or saga.phase not in (Phase.PLACED, Phase.CLOSED):
            raise Violation(f"I4: {when}, and {saga and saga.phase}")
        held = {self._held(world, party).state for party in self._workers(order)}
        if (held != {State.CONFIRMED}) if saga.phase is Phase.PLACED else held & HOLDING:
            raise Violation(f"I3: {when}, and {saga.phase}, but held as {sorted(held)}")

    def _check_recovery(self, world: int) -> None:
        """If everything under way were lost now, jobs and sweepers alone would bring every known order to its end."""
        for _ in range(ROUNDS_TO_RECOVER):
            for party in self.steps.parties:
                for step in self.steps.wait(party, self._state(world, party))[-1:]:
                    change = self._change(world & self.order_mask[party[0]], party, step)
                    world = self._hear_all(world & change.keep | change.put)
        for order in self.orders:
            if self._saga(world, order) is not None:
                self._check_end(world, order, "everything under way lost")

    def _hear_all(self, world: int) -> int:
        while bag := world >> self.bag_at:
            number = (bag & -bag).bit_length() - 1 >> 1
            change = self._hear(world, number)[0]
            world = world & ~(3 << self.bag_at + 2 * number) & change.keep | change.put
        return world

    def _saga(self, world: int, order: int) -> Saga | None:
        saga: Saga | None = self.steps.states[order, SAGA].things[self._state(world, (order, SAGA))]
        return saga

    def _workers(self, order: int) -> Iterator[Party]:
        return ((order, role) for role in range(1, len(ROLES)))

    def _held(self, world: int, party: Party) -> Reservation:
        held: Reservation = self.steps.states[party].things[self._state(world, party)]
        return held

    def _is_free(self, world: int, party: Party) -> bool:
        """No other order holds the unit."""
        others = ((order, party[1]) for order in self.orders if order != party[0])
        return all(self._held(world, other).state not in HOLDING for other in others)

    def _way(self, world: int, came_from: Mapping[int, int]) -> list[str]:
        labels: list[str] = []
        while (before := came_from[world]) != world:
            labels.append(next(label for after, label in self._next(before) if after == world))
            world = before
        return labels[::-1]
