"""A database whose clock is off."""

from urllib.parse import urlsplit

import asyncpg


async def skew(url: str, seconds: float) -> None:
    """From now on, whoever connects to the database finds its clock so far ahead."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            f"""
            CREATE SCHEMA skewed;
            CREATE FUNCTION skewed.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
                $$ SELECT pg_catalog.clock_timestamp() + interval '{seconds} s' $$;
            ALTER DATABASE {urlsplit(url).path[1:]} SET search_path = skewed, pg_catalog, public
            """
        )
    finally:
        await connection.close()
