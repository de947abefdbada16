"""Named tuples that are replaced with every step of an order."""

from collections.abc import Iterable
from typing import Any, TypeVar

T = TypeVar("T", bound=tuple[Any, ...])


def quickly_replaced(kind: type[T]) -> type[T]:
    """Give a named tuple a `_replace` of half the cost: its own looks up every field, and not only what changes."""
    rows: Any = kind
    positions = {field: position for position, field in enumerate(rows._fields)}

    def replace(row: Iterable[object], /, **changes: object) -> Any:
        values = list(row)
        for field, value in changes.items():
            values[positions[field]] = value
        return tuple.__new__(kind, values)

    rows._replace = replace
    return kind
