"""Every way in which a few orders can go, and what must hold on each of them."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from messages.participant.reservation import HOLDING, State
from order_saga.state import Phase, Saga
from tests.unit.saga_model.network import ALLOWED, Network, Violation, outcome_of
from tests.unit.saga_model.parties import EARLY, LATE, ROLES, SAGA, Party
from tests.unit.saga_model.steps import Steps

MANY = 1_000_000
"""More worlds than any of these models has."""
ROUNDS_TO_RECOVER = 6


class Model(Network):
    """Visits every world, and looks whether what must hold does."""

    def __init__(
        self,
        orders: int,
        copies: int,
        *,
        cancel: bool = False,
        losing: bool = False,
        repeats: int = 0,
        loss: bool = False,
        inquiries: bool = True,
        clocks: Sequence[datetime] = (EARLY, LATE),
    ) -> None:
        steps = Steps(orders, clocks, cancel=cancel, losing=losing)
        super().__init__(steps, copies, repeats=repeats, loss=loss, inquiries=inquiries)
        self.checked: set[int] = set()
        self.outcomes: set[str | None] = set()
        """Those that were come across."""

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
        outcome = outcome_of(saga)
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

    def _way(self, world: int, came_from: Mapping[int, int]) -> list[str]:
        labels: list[str] = []
        while (before := came_from[world]) != world:
            labels.append(next(label for after, label in self._next(before) if after == world))
            world = before
        return labels[::-1]
