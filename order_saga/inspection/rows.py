"""Rows of the published views, as the inspection knows them. What no service writes there is left out, and named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

from asyncpg import Record
from pydantic import TypeAdapter, ValidationError

from messages.contracts.views import Holding, Order, Unit
from order_saga.inspection.evidence import Share
from order_saga.participants import Participant

GRANTED = TypeAdapter(dict[str, tuple[str, ...]])


@dataclass(frozen=True, slots=True)
class Line:
    """As the view tells it."""

    sku: str
    quantity: int


LINES = TypeAdapter(list[Line])


def order_of(row: Record, told: Sequence[str] = ()) -> Order:
    quantities, granted = _quantities(row["lines"]), _granted(row["granted"])
    return Order(
        order_id=row["order_id"],
        phase=row["phase"],
        outcome=row["outcome"],
        participant=row["participant"],
        reason=row["reason"],
        store_id=row["store_id"],
        zone=row["zone"],
        quantities=quantities or {},
        granted=granted or {},
        accepted_at=row["accepted_at"],
        deadline=row["deadline"],
        decided_at=row["decided_at"],
        cleaned_at=row["cleaned_at"],
        told=frozenset(told),
        damaged=tuple([name for name, read in (("lines", quantities), ("granted", granted)) if read is None]),
    )


def share_of(participant: Participant, row: Record) -> Share:
    units: tuple[Unit, ...] = ()
    if row["carried"]:
        order_ids = repeat(row["order_id"])
        units = tuple(map(Unit, row["carried"], row["places"], row["kinds"], row["states"], order_ids))
    return Share(participant, _holding(row) if row["state"] is not None else None, units)


def _quantities(text: str | None) -> Mapping[str, int] | None:
    """None, if these are no lines of an order."""
    try:
        return {line.sku: line.quantity for line in LINES.validate_json(text or "[]", strict=True)}
    except ValidationError:
        return None


def _granted(text: str) -> Mapping[str, tuple[str, ...]] | None:
    """None, if these are no units of participants."""
    try:
        return GRANTED.validate_json(text)
    except ValidationError:
        return None


def _holding(row: Record) -> Holding:
    return Holding(
        order_id=row["order_id"],
        state=row["state"],
        reason=row["reason"],
        unit_ids=tuple(map(str, row["unit_ids"])),  # PostgreSQL's arrays may contain NULL
        expires_at=row["expires_at"],
        changed_at=row["changed_at"],
    )
