"""The timeline's days: their tables, and a test that none of them ends in."""

import asyncio
from datetime import UTC, date, datetime, timedelta

from messages.transport.database.transactions import Transaction

LONGER_THAN_A_TEST_SECONDS = 60.0


async def no_midnight_is_near() -> None:
    """If the day is about to end, wait for the next one."""
    now = datetime.now(UTC)
    left_seconds = (midnight(now.date() + timedelta(days=1)) - now).total_seconds()
    if left_seconds < LONGER_THAN_A_TEST_SECONDS:
        await asyncio.sleep(left_seconds + 1)


async def tables(connection: Transaction) -> dict[str, int]:
    """Table -> lines in it."""
    return {name: await connection.fetchval(f"SELECT count(*) FROM {name}") for name in await partitions(connection)}


async def partitions(connection: Transaction) -> list[str]:
    rows = await connection.fetch("SELECT inhrelid::regclass::text AS name FROM pg_inherits ORDER BY 1")
    return [row["name"] for row in rows if row["name"].startswith("timeline") and "_at_" not in row["name"]]


async def prepare(connection: Transaction, day: date) -> None:
    await connection.execute(
        f"CREATE TABLE {table(day)} PARTITION OF timeline"
        f" FOR VALUES FROM ('{day} 00:00+00') TO ('{day + timedelta(days=1)} 00:00+00')"
    )


async def today(connection: Transaction) -> date:
    day: date = await connection.fetchval("SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date")
    return day


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def table(day: date) -> str:
    return f"timeline_{day:%Y%m%d}"
