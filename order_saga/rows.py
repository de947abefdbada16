"""A saga as a row of its table, and back."""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from asyncpg import Record
from pydantic_core import from_json, to_json

from messages.transport.database.versioned import Column, Table
from order_saga.participants import Granted
from order_saga.state import Phase, Saga, Standing

NOTHING_GRANTED: Granted = MappingProxyType({})
PHASES = {phase.value: phase for phase in Phase}


def saga_of(row: Record, request: str | None = None) -> Saga:
    """From a row of the clock and the columns of `READ`, of which the last is the version."""
    _, order_id, phase, standing, granted, *others, version = row[: 1 + len(READ_FIELDS)]
    fields = (order_id, PHASES[phase], _standing(standing), _granted(granted), *others, request, version)
    return Saga(*fields)


@lru_cache(maxsize=1024)
def _standing(text: str) -> Mapping[str, Standing]:
    """Cached: there are few texts, each read many times. The result is read-only."""
    return MappingProxyType({name: Standing(standing) for name, standing in from_json(text).items()})


def _granted(text: str) -> Granted:
    if text == "{}":
        return NOTHING_GRANTED
    return {name: tuple(unit_ids) for name, unit_ids in from_json(text).items()}


def standing_text(standing: Mapping[str, Standing]) -> str:
    return _pairs_text(tuple(standing.items()))


@lru_cache(maxsize=1024)
def _pairs_text(pairs: tuple[tuple[str, Standing], ...]) -> str:
    return to_json(dict(pairs)).decode()


def granted_text(granted: Granted) -> str:
    return to_json(granted).decode() if granted else "{}"


OUTCOME = "CASE {} WHEN 'placed' THEN 'placed' WHEN 'releasing' THEN 'not_placed' WHEN 'closed' THEN 'not_placed' END"
COLUMNS = {
    "order_id": Column("uuid"),
    "phase": Column("text", derived=("outcome", OUTCOME)),
    "standing": Column("jsonb", standing_text),
    "granted": Column("jsonb", granted_text),
    "participant": Column("text"),
    "reason": Column("text"),
    "deadline": Column("timestamptz"),
    "asked_at": Column("timestamptz"),
    "due_at": Column("timestamptz"),
    "repeats": Column("integer"),
    "accepted_at": Column("timestamptz"),
    "decided_at": Column("timestamptz"),
    "cleaned_at": Column("timestamptz"),
    "fingerprint": Column("bytea"),
    "traceparent": Column("text"),
    "request": Column("json"),
}
TABLE = Table("saga", Saga._fields, COLUMNS)
READ_FIELDS = [field for field in Saga._fields if field != "request"]
READ = ", ".join(READ_FIELDS)
"""The columns of a saga, in the order of its fields, without `request`, which is rarely needed."""
