"""All local steps of a model of the saga, each computed once, before any search begins."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from messages.contracts.participation import Reserve
from tests.unit.saga_model.decisions import Decisions, Step
from tests.unit.saga_model.parties import SAGA, Party


class Steps(Decisions):
    """All local steps of all parties, for so many orders at these clocks."""

    def __init__(self, orders: int, clocks: Sequence[datetime], *, cancel: bool, losing: bool) -> None:
        super().__init__(orders, losing=losing)
        self.clocks = clocks
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
