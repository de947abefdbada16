"""Tables with a row an order, which only he may write who has read their newest version."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import is_not
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from messages.transport.service import Write

KEY = "order_id"
VERSION = "version"


class Row(Protocol):
    """A named tuple whose fields are the columns of its table."""

    @property
    def order_id(self) -> UUID: ...
    @property
    def version(self) -> int: ...
    def __getitem__(self, position: int, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...


class Column(NamedTuple):
    """How a field is written."""

    type: str
    encode: Callable[[Any], Any] | None = None
    """From the field to what the driver takes; None: as it is."""
    sql: str = "{}"
    """From what the driver brings to what is kept."""
    derived: tuple[str, str] | None = None
    """Another column that follows from this one, and how."""


class Table:
    """A table keyed by order_id, with a version that each write counts up.

    What all rows of a statement have in common travels once, and what has not changed not at all: an array costs the
    driver half a microsecond for each of its elements.
    """

    def __init__(self, name: str, fields: Sequence[str], columns: Mapping[str, Column], now: str | None = None) -> None:
        """`columns` are those that are written, by field; `now`: a column for the time of the last write."""
        self.name = name
        self.now = now
        self._columns = columns
        self._positions = {field: position for position, field in enumerate(fields)}

    def insert(self, rows: Sequence[Row]) -> list[Write]:
        """Create these rows; somebody else must not have done so."""
        return [self._write(_insert, tuple(self._columns), rows)] if rows else []

    def update(self, changes: Iterable[tuple[Row, Row]]) -> list[Write]:
        """Write what is different in the second of each pair; nobody must have written since the first was read."""
        alike: dict[tuple[bool, ...], list[Row]] = {}
        for before, after in changes:
            alike.setdefault(tuple(map(is_not, before, after)), []).append(after)
        writes = []
        for differences, rows in alike.items():
            changed = [field for field, differs in zip(self._positions, differences, strict=True) if differs]
            if written := [field for field in changed if field in self._columns]:
                writes.append(self._write(_update, (KEY, VERSION, *written), rows))
        return writes

    def _write(self, statement: "Statement", fields: tuple[str, ...], rows: Sequence[Row]) -> Write:
        given = [self._values(field, rows) for field in fields]
        common = tuple([field != KEY and _is_common(values) for field, values in zip(fields, given, strict=True)])
        sql = _sql(self, statement, fields, common)
        arguments = [values[0] if once else values for values, once in zip(given, common, strict=True)]
        return Write(sql, arguments, len(rows))

    def _values(self, field: str, rows: Sequence[Row]) -> list[Any]:
        at = self._positions[field]
        encode = self.column(field).encode
        return [encode(row[at]) for row in rows] if encode else [row[at] for row in rows]

    def column(self, field: str) -> Column:
        return self._columns.get(field, _VERSION)


Statement = Callable[[Table, tuple[str, ...], str], str]
_VERSION = Column("integer")


def _is_common(values: Sequence[Any]) -> bool:
    first = values[0]
    return all(value is first or value == first for value in values)


@lru_cache(maxsize=256)
def _sql(table: Table, statement: Statement, fields: tuple[str, ...], common: tuple[bool, ...]) -> str:
    own, same = [], []
    for number, (field, once) in enumerate(zip(fields, common, strict=True), 1):
        kind = table.column(field).type
        if once:
            same.append(f", ${number}::{kind} AS {field}")
        else:
            own.append((field, f"${number}::{kind}[]"))
    arrays, names = ", ".join(array for _, array in own), ", ".join(field for field, _ in own)
    return statement(table, fields, f"(SELECT own.*{''.join(same)} FROM unnest({arrays}) AS own ({names})) AS new")  # noqa: S608


def _insert(table: Table, fields: tuple[str, ...], rows: str) -> str:
    names, values = zip(*_kept(table, fields), strict=True)
    # In the order of the key, so that two who create the same rows wait for each other and do not deadlock.
    return (
        f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {', '.join(values)} FROM {rows}"  # noqa: S608
        f" ORDER BY {KEY} ON CONFLICT DO NOTHING RETURNING 1"
    )


def _update(table: Table, fields: tuple[str, ...], rows: str) -> str:
    changes = ", ".join(f"{name} = {value}" for name, value in _kept(table, fields) if name not in (KEY, VERSION))
    return (
        f"UPDATE {table.name} AS old SET {VERSION} = old.{VERSION} + 1, {changes} FROM {rows}"  # noqa: S608
        f" WHERE old.{KEY} = new.{KEY} AND old.{VERSION} = new.{VERSION} RETURNING 1"
    )


def _kept(table: Table, fields: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Each column that is written, and its value."""
    for field in fields:
        column = table.column(field)
        yield field, column.sql.format(f"new.{field}")
        if column.derived:
            name, sql = column.derived
            yield name, sql.format(f"new.{field}")
    if table.now:
        yield table.now, "clock_timestamp()"
