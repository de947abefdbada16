"""The database may be away at any time: what is opened waits, and what is open recovers."""

import asyncio
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from messages.transport.database.postgres import Database
from messages.transport.faults import Aborted, Collision, is_infrastructure
from tests.integration.database.backends import backend_of, two_backends
from tests.integration.database.purchases import write
from tests.integration.network import Network
from tests.integration.toy.station import Station, has_lost_what_is_at_hand
from tests.integration.toy.waiting import until


async def test_opening_waits_for_the_server(station: Station) -> None:
    async with Network(station.url) as network:
        url = network.url
    database = Database(url)
    opening = asyncio.create_task(database.open())
    await asyncio.sleep(0.3)
    assert not opening.done()
    assert not database.reachable
    with pytest.raises(AssertionError, match="not open"):
        await backend_of(database)
    await network.plug_in()
    await asyncio.wait_for(opening, 60)
    assert database.reachable
    await write(database)
    await database.close()
    await network.unplug()


@pytest.mark.parametrize(
    ("changed", "told"), [({"netloc": "stranger:wrong@{place}"}, "stranger"), ({"path": "/nowhere"}, "nowhere")]
)
async def test_opening_waits_for_the_operator_where_user_or_database_is_wrong(
    station: Station, changed: dict[str, str], told: str
) -> None:
    url = urlsplit(station.url)
    place = url.netloc.rpartition("@")[2]
    database = Database(url._replace(**{part: text.format(place=place) for part, text in changed.items()}).geturl())
    with capture_logs() as logs:
        opening = asyncio.create_task(database.open())
        await until(lambda: _has_waited_twice(logs, told))
    assert not opening.done()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await database.close()


async def test_a_lost_server_is_noticed_and_used_again_when_it_is_back(station: Station) -> None:
    async with Network(station.url) as network:
        database = Database(network.url)
        await database.open()
        await write(database)
        await network.unplug()
        with pytest.raises(Exception, match=r".*") as lost:
            await write(database)
        assert is_infrastructure(lost.value)
        with pytest.raises(OSError, match=r"refused|[Cc]onnect"):
            await write(database)
        assert not database.reachable
        await network.plug_in()
        await write(database)
        assert database.reachable
        await database.close()


async def test_a_server_that_answers_and_lets_nobody_in_is_not_reached(station: Station) -> None:
    database = Database(station.url)
    await database.open()
    await write(database)
    name = urlsplit(station.url).path[1:]
    elsewhere = await asyncpg.connect(urlsplit(station.url)._replace(path="/postgres").geturl())
    try:
        await elsewhere.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await elsewhere.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        await until(lambda: has_lost_what_is_at_hand(database))
        assert database.reachable  # nobody has asked it for anything since
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
            await write(database)
        assert not database.reachable
    finally:
        await elsewhere.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await elsewhere.close()
    await write(database)
    assert database.reachable
    await database.close()


async def test_what_a_terminated_backend_had_done_is_gone_and_the_error_is_nobodys_fault(
    station: Station, database: Database
) -> None:
    async def die() -> None:
        async with database.transaction() as tx:
            await tx.execute("INSERT INTO purchase VALUES ($1, 1)", uuid4())
            await tx.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(Exception, match=r".*") as lost:
        await die()
    assert is_infrastructure(lost.value)
    assert "terminating connection" in str(lost.value)
    assert await station.count("purchase") == 0
    await write(database)


async def test_connections_that_all_died_are_replaced(station: Station, database: Database) -> None:
    await asyncio.gather(*(write(database) for _ in range(20)))
    await station.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'order-saga'"
    )
    tries = await asyncio.gather(*(write(database) for _ in range(10)), return_exceptions=True)
    assert all(is_infrastructure(error) for error in tries if error is not None)
    await write(database)


async def test_after_a_failover_no_connection_to_the_standby_is_used_again(own_station: Station) -> None:
    name = own_station.url.rpartition("/")[2]
    await own_station.rows(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    database = Database(own_station.url)
    await database.open()
    standby = await two_backends(database)
    await own_station.rows(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError) as refused:  # for a connection stays as it was opened
        await write(database)
    assert is_infrastructure(refused.value)

    opened = database.connections_opened
    await write(database)

    assert database.connections_opened > opened  # which is how the memory knows that it must forget
    assert not await two_backends(database) & standby
    await database.close()


async def test_a_connection_that_was_in_use_when_all_were_replaced_is_not_used_again(own_station: Station) -> None:
    name = own_station.url.rpartition("/")[2]
    await own_station.rows(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    database = Database(own_station.url)
    await database.open()
    await two_backends(database)
    await own_station.rows(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    async with database.session() as reading:  # as a job does, to see what is due
        standby = await reading.fetchval("SELECT pg_backend_pid()")
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await write(database)
    assert await backend_of(database) != standby
    await write(database)
    await database.close()


def test_a_mistake_in_a_handler_is_its_own_fault() -> None:
    own: list[Exception] = [ValueError(), KeyError(), AssertionError(), ZeroDivisionError(), Aborted()]
    own += [RecursionError(), asyncpg.UniqueViolationError(), asyncpg.CheckViolationError(), asyncpg.DataError()]
    own += [asyncpg.InFailedSQLTransactionError()]
    assert not any(is_infrastructure(error) for error in own)
    assert is_infrastructure(Collision())
    assert is_infrastructure(OSError())


async def _has_waited_twice(logs: Sequence[Mapping[str, object]], told: str) -> bool:
    waits = [line for line in logs if line["event"] == "waiting for PostgreSQL"]
    assert all(told in str(line["error"]) for line in waits)
    return len(waits) >= 2
