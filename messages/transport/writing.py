"""What a transaction changes: gathered while it is decided, and executed as one statement, in one round trip."""

import re
from collections.abc import Sequence
from functools import lru_cache

import asyncpg

from messages.transport.postgres import Collision
from messages.transport.service import Transaction, Write

PLACEHOLDER = re.compile(r"\$(\d+)")


async def write(tx: Transaction, writes: Sequence[Write]) -> None:
    """Execute all of them, or none. Raises Collision where one changes another number of rows than it must."""
    if not writes:
        return
    sql = _compose(tuple((each.sql, len(each.arguments), each.rows is not None) for each in writes))
    arguments = [argument for each in writes for argument in each.arguments]
    try:
        await tx.fetch(sql, *arguments, *(each.rows for each in writes if each.rows is not None))
    except asyncpg.SerializationError as error:
        raise Collision(str(error)) from None


@lru_cache(maxsize=256)
def _compose(parts: tuple[tuple[str, int, bool], ...]) -> str:
    """One WITH clause of all of them. Whether a number of rows is the right one is asked in the same breath."""
    clauses, checks, used = [], [], 0
    for position, (sql, arguments, _) in enumerate(parts):
        clauses.append(f"write_{position} AS ({_renumbered(sql, used)})")
        used += arguments
    for position, (_, _, counted) in enumerate(parts):
        if counted:
            used += 1
            checks.append(f"expect_rows((SELECT count(*) FROM write_{position}), ${used})")  # noqa: S608
    return f"WITH {', '.join(clauses)} SELECT {', '.join(checks)}"


def _renumbered(sql: str, used: int) -> str:
    return PLACEHOLDER.sub(lambda match: f"${int(match[1]) + used}", sql)
