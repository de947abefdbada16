"""All changes of a batch are one statement, which is executed as a whole or not at all."""

from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from messages.transport.database.writing import Write, write
from messages.transport.faults import Collision
from tests.integration.toy.station import Station

INSERT = "INSERT INTO purchase SELECT unnest($1::uuid[]), $2 ON CONFLICT DO NOTHING RETURNING 1"


async def test_everything_is_written_in_one_statement(station: Station) -> None:
    first, second, third = (uuid4() for _ in range(3))
    await write(
        station.connection,
        [
            Write(INSERT, ([first, second], 1), 2),
            Write("INSERT INTO purchase VALUES ($1, $2)", (third, 3)),
            Write("INSERT INTO heard (message_id, type, text, waiting) VALUES ($1, '', '', false)", (third,)),
        ],
    )
    rows = await station.rows("SELECT order_id, times FROM purchase")
    assert dict(rows) == {first: 1, second: 1, third: 3}
    assert await station.count("heard") == 1


async def test_nothing_is_written_where_somebody_else_was_first(station: Station) -> None:
    taken, free = uuid4(), uuid4()
    await write(station.connection, [Write(INSERT, ([taken], 1), 1)])
    with pytest.raises(Collision, match="1 rows changed, where 2 were meant"):
        await write(
            station.connection,
            [Write("INSERT INTO purchase VALUES ($1, 7)", (uuid4(),)), Write(INSERT, ([taken, free], 2), 2)],
        )
    assert [tuple(row) for row in await station.rows("SELECT order_id, times FROM purchase")] == [(taken, 1)]


async def test_a_row_that_somebody_else_has_created_is_a_collision(station: Station) -> None:
    taken = uuid4()
    create = Write("INSERT INTO purchase VALUES ($1, 1)", (taken,))
    await write(station.connection, [create])
    with pytest.raises(Collision, match="purchase_pkey"):
        await write(station.connection, [Write("INSERT INTO purchase VALUES ($1, 7)", (uuid4(),)), create])
    assert [tuple(row) for row in await station.rows("SELECT order_id, times FROM purchase")] == [(taken, 1)]


async def test_what_is_to_be_unique_and_is_no_key_is_no_collision_but_a_mistake(station: Station) -> None:
    """To handle it again would never end."""
    await station.connection.execute("CREATE TEMPORARY TABLE seat (number integer UNIQUE)")
    with pytest.raises(asyncpg.UniqueViolationError):
        await write(station.connection, [Write("INSERT INTO seat VALUES ($1), ($1)", (7,))])


async def test_writing_tells_the_time(station: Station) -> None:
    told = await write(station.connection, [Write(INSERT, ([uuid4()], 1), 1)])
    (row,) = await station.rows("SELECT clock_timestamp() AS now")
    assert told is not None
    assert row["now"] - timedelta(seconds=5) < told < row["now"]


async def test_nothing_to_write_asks_nothing(station: Station) -> None:
    await station.connection.close()
    await write(station.connection, [])
