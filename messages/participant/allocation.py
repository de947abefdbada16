"""Allocates the units that were found to orders: all or nothing, first come first served."""

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
    """The units found on one shelf, locked if in a transaction, in the order in which they are to be given away."""

    unit_ids: Sequence[str]
    reason: str
    """The refusal's reason if they do not suffice."""
    complete: bool
    """Every visibly free unit is among them, so that a shortage is not due to other transactions."""
    given: int = 0

    @property
    def left(self) -> int:
        return len(self.unit_ids) - self.given

    def give(self, quantity: int) -> Sequence[str]:
        self.given += quantity
        return self.unit_ids[self.given - quantity : self.given]


class Allocation(NamedTuple):
    """Units for an order, or the reason for none, or neither: if not `conclusive`, search again, waiting."""

    unit_ids: tuple[str, ...] = ()
    reason: str | None = None
    conclusive: bool = True


def allocate(wants: Sequence[Want], pools: Mapping[Shelf, Pool]) -> Allocation:
    """Take all that is wanted out of the pools, or leave everything to the next order."""
    short = [pools[want.shelf] for want in wants if pools[want.shelf].left < want.quantity]
    for pool in short:
        if pool.complete:
            return Allocation(reason=pool.reason)
    if short:
        return Allocation(conclusive=False)
    return Allocation(tuple([unit_id for want in wants for unit_id in pools[want.shelf].give(want.quantity)]))


def total_demand(wants: Iterable[Want]) -> list[Want]:
    """The total wanted from each shelf, in the order of shelves: that of their bytes, in PostgreSQL `COLLATE "C"`."""
    total: dict[Shelf, int] = {}
    for shelf, quantity in wants:
        total[shelf] = total.get(shelf, 0) + quantity
    return [Want(shelf, total[shelf]) for shelf in sorted(total)]
