"""A database whose clock is off."""

from urllib.parse import urlsplit

import asyncpg


async def skew(url: str, seconds: float) -> None:
    """From now on, whoever connects to the database finds its clock so far ahead."""
    await _execute(
        url,
        f"""
        CREATE SCHEMA skewed;
        CREATE FUNCTION skewed.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
            $$ SELECT pg_catalog.clock_timestamp() + interval '{seconds} s' $$;
        {_in_front_of_all_others(url)}
        """,
    )


async def make_clock_movable(url: str) -> None:
    """From now on, whoever connects to the database finds a clock that can be put forward meanwhile."""
    await _execute(
        url,
        f"""
        CREATE SCHEMA skewed;
        CREATE TABLE skewed.ahead AS SELECT interval '0 s' AS ahead;
        CREATE FUNCTION skewed.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
            $$ SELECT pg_catalog.clock_timestamp() + ahead FROM skewed.ahead $$;
        CREATE FUNCTION skewed.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS
            $$ SELECT pg_catalog.statement_timestamp() + ahead FROM skewed.ahead $$;
        {_in_front_of_all_others(url)}
        """,
    )


async def put_clock_forward(url: str, seconds: float) -> None:
    """As if so much time had passed."""
    await _execute(url, f"UPDATE skewed.ahead SET ahead = ahead + interval '{seconds} s'")


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def _in_front_of_all_others(url: str) -> str:
    return f"ALTER DATABASE {urlsplit(url).path[1:]} SET search_path = skewed, pg_catalog, public"
