"""A connection on which nothing is wrong is left alone, however long its server works, or its client rests."""

import asyncio

import pytest

from messages.transport.database import watchdog
from messages.transport.database.postgres import Database
from tests.integration.database.backends import backend_of


async def test_a_statement_that_takes_long_is_waited_for(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await backend_of(database)
    monkeypatch.setattr(watchdog, "SILENT_SECONDS", 1.0)
    monkeypatch.setattr(watchdog, "ANSWER_SECONDS", 0.5)
    async with database.session() as tx:
        for busy in ("pg_sleep(1.5)", "count(*) FROM generate_series(1, 5000000)"):
            await tx.execute(f"SELECT {busy}")
    assert database.connections_opened == 1


async def test_a_session_of_many_short_statements_is_left_alone(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await backend_of(database)
    monkeypatch.setattr(watchdog, "SILENT_SECONDS", 0.8)
    monkeypatch.setattr(watchdog, "ANSWER_SECONDS", 0.5)
    async with database.session() as tx:
        for _ in range(20):
            await tx.execute("SELECT 1")
            await asyncio.sleep(0.05)  # in which the server waits for the client
    assert database.connections_opened == 1
