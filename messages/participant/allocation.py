"""Who gets which of the units that were found: all or nothing, first come first served."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

Shelf: TypeAlias = tuple[str, str]
"""(place, kind): (store, sku) or (zone, `agent`)."""


class Want(NamedTuple):
    """So many units from one shelf."""

    shelf: Shelf
    quantity: int


@dataclass(slots=True)
class Pool:
    """Units of one shelf that were found, in a transaction locked, those to be given away first in front."""

    unit_ids: Sequence[str]
    reason: str
    """Of the refusal when they do not suffice."""
    complete: bool
    """Every unit that was visibly free is among them, so that a miss is no accident of locking."""
    given: int = 0

    @property
    def left(self) -> int:
        return len(self.unit_ids) - self.given

    def give(self, quantity: int) -> Sequence[str]:
        self.given += quantity
        return self.unit_ids[self.given - quantity : self.given]


class Offer(NamedTuple):
    """The units an order gets; or why it gets none; or, not `certain`, that one has to look again to know."""

    unit_ids: tuple[str, ...] = ()
    reason: str | None = None
    certain: bool = True


def offer(wants: Sequence[Want], pools: Mapping[Shelf, Pool]) -> Offer:
    """Take all that is wanted out of the pools, or leave everything to the next order."""
    short = [pools[want.shelf] for want in wants if pools[want.shelf].left < want.quantity]
    for pool in short:
        if pool.complete:
            return Offer(reason=pool.reason)
    if short:
        return Offer(certain=False)
    return Offer(tuple([unit_id for want in wants for unit_id in pools[want.shelf].give(want.quantity)]))


def needs(wants: Iterable[Want]) -> list[Want]:
    """What is wanted from each shelf by all together, in the order of shelves."""
    total: dict[Shelf, int] = {}
    for shelf, quantity in wants:
        total[shelf] = total.get(shelf, 0) + quantity
    return [Want(shelf, total[shelf]) for shelf in sorted(total)]
