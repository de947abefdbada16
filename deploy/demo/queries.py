"""The demo's queries: to create its databases, and to see in the published views how far things are."""

from typing import Any, TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[Any]"


async def create_database(connection: Connection, name: str) -> None:
    await connection.execute(f"CREATE DATABASE {name}")


async def version(connection: Connection) -> str:
    """`18.6`."""
    text: str = await connection.fetchval("SHOW server_version")
    return text.split(maxsplit=1)[0]


async def units(connection: Connection) -> int:
    """How many packets, or agents, the worker knows."""
    count: int = await connection.fetchval("SELECT count(*) FROM published.stock")
    return count


async def holdings(connection: Connection) -> dict[str, int]:
    """State of a reservation -> how many are in it."""
    return dict(await connection.fetch("SELECT state, count(*) FROM published.holdings GROUP BY state"))
