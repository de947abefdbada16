"""Executes all writes of a transaction as one statement, in one round trip."""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

import asyncpg

from messages.transport.database.transactions import Transaction
from messages.transport.faults import Collision

Shape: TypeAlias = tuple[str, int, bool, bool]
"""Of a write: its SQL, how many arguments it has, whether it expects a row count, and whether a deadline."""

PLACEHOLDER = re.compile(r"\$(\d+)")


class Write(NamedTuple):
    """A statement that changes rows, to be executed together with all others of its transaction."""

    sql: str
    arguments: Sequence[Any]
    rows: int | None = None
    """How many rows it must return, one for each changed; any other number is a conflict with another transaction."""
    before: datetime | None = None
    """Until when it may be done, by the database's clock; None: any time."""


async def write(tx: Transaction, writes: Sequence[Write]) -> datetime | None:
    """Execute all or none; return the database's clock. Raises Collision on a conflict, or after a write's `before`."""
    if not writes:
        return None
    sql = _compose(tuple(map(_shape, writes)))
    arguments = [argument for each in writes for argument in each.arguments]
    expected: list[object] = [each.rows for each in writes if each.rows is not None]
    expected += [each.before for each in writes if each.before is not None]
    try:
        rows = await tx.fetch(sql, *arguments, *expected)
    except (asyncpg.SerializationError, asyncpg.LockNotAvailableError) as error:
        raise Collision(str(error)) from None
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == f"{error.table_name}_pkey":
            raise Collision(str(error)) from None
        raise  # not an order's row created meanwhile, but a conflict that every retry would meet
    now: datetime = rows[0][-1]
    return now


def rows_changed(status: str) -> int:
    """The number in a command tag: `UPDATE 12` -> 12."""
    return int(status.rpartition(" ")[2])


def _shape(each: Write) -> Shape:
    return each.sql, len(each.arguments), each.rows is not None, each.before is not None


@lru_cache(maxsize=256)
def _compose(shapes: tuple[Shape, ...]) -> str:
    """One WITH statement of all writes, which afterwards checks the expected row counts and deadlines."""
    clauses, checks = [], []
    used = 0
    for position, (sql, arguments, _, _) in enumerate(shapes):
        clauses.append(f"write_{position} AS ({_renumbered(sql, used)})")
        used += arguments
    for position, (_, _, counted, _) in enumerate(shapes):
        if counted:
            used += 1
            checks.append(f"expect_rows((SELECT count(*) FROM write_{position}), ${used})")  # noqa: S608
    # Last: counting the rows includes waiting for their locks.
    for _ in filter(itemgetter(3), shapes):
        used += 1
        checks.append(f"expect_before(${used})")
    return f"WITH {', '.join(clauses)} SELECT {', '.join([*checks, 'clock_timestamp()'])}"


def _renumbered(sql: str, used: int) -> str:
    return PLACEHOLDER.sub(lambda match: f"${int(match[1]) + used}", sql)
