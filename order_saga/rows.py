"""A saga as a row of its table, and back."""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from asyncpg import Record
from pydantic_core import from_json, to_json

from order_saga.participants import Granted
from order_saga.state import Phase, Saga, Standing

NOTHING_GRANTED: Granted = MappingProxyType({})


def saga_of(row: Record, request: str | None = None) -> Saga:
    return Saga(
        order_id=row["order_id"],
        phase=Phase(row["phase"]),
        standing=_standing(row["standing"]),
        granted=_granted(row["granted"]),
        participant=row["participant"],
        reason=row["reason"],
        deadline=row["deadline"],
        asked_at=row["asked_at"],
        due_at=row["due_at"],
        repeats=row["repeats"],
        accepted_at=row["accepted_at"],
        decided_at=row["decided_at"],
        cleaned_at=row["cleaned_at"],
        fingerprint=row["fingerprint"],
        traceparent=row["traceparent"],
        request=request,
        version=row["version"],
    )


@lru_cache(maxsize=1024)
def _standing(text: str) -> Mapping[str, Standing]:
    """Few texts, each read many times: hence shared, and unchangeable."""
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
