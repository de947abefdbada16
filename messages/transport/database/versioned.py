"""Tables with one row per order and optimistic locking: a write must be based on the row's newest version."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import is_not
from typing import Any, NamedTuple, Protocol, Self
from uuid import UUID

from messages.transport.database.writing import Write

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
    def _replace(self, *, version: int) -> Self: ...


class Column(NamedTuple):
    """How a field is written."""

    type: str
    encode: Callable[[Any], Any] | None = None
    """From the field to what the driver takes; None: as it is."""
    sql: str = "{}"
    """SQL from the parameter to the column's value."""
    derived: tuple[str, str] | None = None
    """Another column that is computed from this one, and its SQL."""


class Table:
    """A table keyed by order_id, with a version that each write increments.

    A value equal in all rows is sent once, an unchanged column not at all: encoding costs 0.5 µs an array element. The
    SQL depends only on which columns change, so few statements are ever planned.
    """

    def __init__(self, name: str, fields: Sequence[str], columns: Mapping[str, Column], now: str | None = None) -> None:
        """`columns` are those that are written, by field; `now`: a column for the time of the last write."""
        self.name = name
        self.now = now
        self._columns = columns
        self._positions = {field: position for position, field in enumerate(fields)}

    def insert(self, rows: Sequence[Row]) -> list[Write]:
        """Create these rows; a conflict if one exists already."""
        return [self._write(_insert, tuple(self._columns), rows)] if rows else []

    def update(self, changes: Iterable[tuple[Row, Row]]) -> list[Write]:
        """Write what differs in the second of each pair; a conflict if a row was written since the first was read."""
        rows, differences = [], set()
        for before, after in changes:
            differs = tuple(map(is_not, before, after))
            if any(differs):
                rows.append(after)
                differences.add(differs)
        changed = [field for field, *differs in zip(self._positions, *differences, strict=True) if any(differs)]
        written = [field for field in changed if field in self._columns]
        return [self._write(_update, (KEY, VERSION, *written), rows)] if written else []

    def unchanged(self, rows: Sequence[Row]) -> list[Write]:
        """Write nothing; a conflict if one of these rows was written since it was read."""
        sql = f"""
            SELECT 1 FROM {self.name} JOIN unnest($1::uuid[], $2::integer[]) AS seen ({KEY}, {VERSION})
            USING ({KEY}, {VERSION})
        """  # noqa: S608  only our own names
        ids, versions = [row.order_id for row in rows], [row.version for row in rows]
        return [Write(sql, (ids, versions), len(rows))] if rows else []

    def absent(self, order_ids: Collection[UUID]) -> list[Write]:
        """Write nothing; a conflict if one of these orders has a row."""
        sql = f"SELECT 1 FROM {self.name} WHERE {KEY} = ANY ($1::uuid[])"  # noqa: S608  only our own names
        return [Write(sql, (list(order_ids),), 0)] if order_ids else []

    def _write(self, statement: "Statement", fields: tuple[str, ...], rows: Sequence[Row]) -> Write:
        arguments = [self._values(field, rows) for field in fields]
        return Write(_sql(self, statement, fields), arguments, len(rows))

    def _values(self, field: str, rows: Sequence[Row]) -> list[Any]:
        """One for each row, or a single one for all of them."""
        at = self._positions[field]
        encode = self.column(field).encode
        values = [encode(row[at]) for row in rows] if encode else [row[at] for row in rows]
        return values if field == KEY or not _are_alike(values) else values[:1]

    def column(self, field: str) -> Column:
        return self._columns.get(field, _VERSION)


Statement = Callable[[Table, tuple[str, ...], str], str]
_VERSION = Column("integer")


def _are_alike(values: list[Any]) -> bool:
    # Counting compares all of them, so only if they are probably equal.
    return bool(values[0] == values[-1]) and values.count(values[0]) == len(values)


@lru_cache(maxsize=256)
def _sql(table: Table, statement: Statement, fields: tuple[str, ...]) -> str:
    arrays = [f"${number}::{table.column(field).type}[]" for number, field in enumerate(fields, 1)]
    values = [
        field if field == KEY else f"CASE cardinality({array}) WHEN 1 THEN ({array})[1] ELSE {field} END AS {field}"
        for field, array in zip(fields, arrays, strict=True)
    ]
    given = f"unnest({', '.join(arrays)}) AS given ({', '.join(fields)})"
    return statement(table, fields, f"(SELECT {', '.join(values)} FROM {given}) AS new")  # noqa: S608


def _insert(table: Table, fields: tuple[str, ...], rows: str) -> str:
    names, values = zip(*_kept(table, fields), strict=True)
    # In key order, so that two transactions creating the same rows wait for each other and do not deadlock. Without
    # ON CONFLICT, which looks up each row twice and locks it once more: the second one fails as a whole anyway.
    return (
        f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {', '.join(values)} FROM {rows}"  # noqa: S608
        f" ORDER BY {KEY} RETURNING 1"
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
