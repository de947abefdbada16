"""A connection stays at hand, and one that is lost or left in the middle of something costs nobody a try."""

import asyncio
from typing import Any

import asyncpg
import pytest

from messages.transport.database import postgres, transactions
from messages.transport.database.postgres import Database
from messages.transport.faults import is_infrastructure
from tests.integration.database.backends import backend_of
from tests.integration.database.purchases import write
from tests.integration.toy.station import Station, has_lost_what_is_at_hand
from tests.integration.toy.waiting import until


async def test_a_connection_stays_at_hand(database: Database) -> None:
    backend = await backend_of(database)
    at_hand = list(database._at_hand)
    assert len(at_hand) == 1
    assert await backend_of(database) == backend
    assert database._at_hand == at_hand


async def test_a_connection_that_was_lost_while_it_was_at_hand_costs_nobody_a_try(
    station: Station, database: Database
) -> None:
    lost = await backend_of(database)
    await station.rows("SELECT pg_terminate_backend($1)", lost)
    await until(lambda: has_lost_what_is_at_hand(database))
    assert await backend_of(database) != lost
    await asyncio.gather(*(write(database) for _ in range(20)))


async def test_a_connection_left_in_the_middle_of_something_is_not_used_again_as_it_is(database: Database) -> None:
    async def begin_and_leave() -> None:
        async with database.session() as tx:
            await tx.execute("BEGIN")
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await begin_and_leave()
    async with database.session() as tx:
        assert not tx.is_in_transaction()


async def test_a_connection_on_which_a_statement_takes_too_long_is_not_used_again(database: Database) -> None:
    """It may still run there."""
    backend = await backend_of(database)

    async def dawdle() -> None:
        async with database.session() as tx:
            await tx.execute("SELECT pg_sleep(600)", timeout=0.1)

    with pytest.raises(TimeoutError):
        await dawdle()
    assert await backend_of(database) != backend


async def test_whoever_has_an_answer_in_the_moment_in_which_its_connection_is_given_up_is_not_at_fault(
    database: Database,
) -> None:
    """The watchdog gives it up. What comes next asks whether it is in a transaction."""
    async with database.session() as tx:
        await tx.execute("SELECT 1")
        tx.terminate()
        assert not tx.is_in_transaction()
        with pytest.raises(asyncpg.InterfaceError) as lost:
            await tx.execute("SELECT 1")
    assert is_infrastructure(lost.value)


async def test_a_statement_that_is_prepared_in_that_moment_is_not_at_fault_either(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.session() as tx:
        prepare = tx._get_statement  # type: ignore[attr-defined]

        async def prepare_in_vain(*arguments: Any, **options: Any) -> Any:
            prepared = await prepare(*arguments, **options)
            tx.terminate()
            return prepared

        monkeypatch.setattr(tx, "_get_statement", prepare_in_vain)
        with pytest.raises(asyncpg.InterfaceError) as lost:
            await tx.fetch("SELECT $1::integer", 1)
    assert is_infrastructure(lost.value)


async def test_who_is_at_work_while_it_is_closed_hears_what_went_wrong_and_nothing_else(station: Station) -> None:
    database = Database(station.url)
    await database.open()

    async def fail() -> None:
        async with database.session():
            await database.close()
            raise LookupError

    with pytest.raises(LookupError):
        await fail()


async def test_a_connection_that_is_opened_while_the_others_are_closed_is_not_kept(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(station.url)
    await database.open()
    connect = database._hosts.connect

    async def connect_meanwhile(**arguments: Any) -> Any:
        await database.close()
        return await connect(**arguments)

    monkeypatch.setattr(database._hosts, "connect", connect_meanwhile)
    async with database.session(), database.session() as late:
        await late.execute("SELECT 1")
    assert late.is_closed()
    with pytest.raises(AssertionError, match="not open"):
        await backend_of(database)


async def test_what_is_at_hand_is_closed_and_not_cut_off(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "CLOSE_SECONDS", 60.0)
    cut_off: list[object] = []
    monkeypatch.setattr(postgres._Connection, "_abort", cut_off.append)
    database = Database(station.url)
    await database.open()
    await asyncio.gather(*(write(database) for _ in range(10)))
    assert database._at_hand
    await database.close()
    assert cut_off == []


async def test_no_connection_is_left_behind(own_station: Station) -> None:
    ours = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'toy'"
    database = Database(own_station.url, application_name="toy")
    await database.open()
    await asyncio.gather(*(write(database) for _ in range(10)))
    assert await own_station.rows(ours)
    await database.close()

    async def none() -> bool:
        return not await own_station.rows(ours)

    await until(none)
