"""What every session is set to: plans are kept, and nothing takes for ever."""

import socket

import pytest

from messages.transport.database.postgres import Database
from tests.integration.network import Network
from tests.integration.toy.station import Station


async def test_no_statement_is_planned_twice(database: Database) -> None:
    async with database.session() as tx:
        assert await tx.fetchval("SHOW plan_cache_mode") == "force_generic_plan"


@pytest.mark.parametrize(
    ("setting", "time"), [("statement_timeout", "1min"), ("idle_in_transaction_session_timeout", "15s")]
)
async def test_no_statement_takes_for_ever_and_nobody_keeps_locks_for_ever(
    database: Database, setting: str, time: str
) -> None:
    async with database.session() as tx:
        assert await tx.fetchval(f"SHOW {setting}") == time


async def test_only_a_transaction_waits_for_locks_without_limit(database: Database) -> None:
    """Who waits in vain outside of one tries again, in the end in a transaction."""
    async with database.session() as tx:
        assert await tx.fetchval("SHOW lock_timeout") == "50ms"
    async with database.transaction() as tx:
        assert await tx.fetchval("SHOW lock_timeout") == "0"


async def test_a_stricter_isolation_that_a_database_has_by_default_is_not_ours(own_station: Station) -> None:
    """It would refuse every other batch when two daemons take turns."""
    name = own_station.url.rpartition("/")[2].partition("?")[0]
    await own_station.rows(f'ALTER DATABASE "{name}" SET default_transaction_isolation = serializable')
    database = Database(own_station.url)
    await database.open()
    async with database.session() as tx:
        assert await tx.fetchval("SHOW transaction_isolation") == "read committed"
    async with database.transaction() as tx:
        assert await tx.fetchval("SHOW transaction_isolation") == "read committed"
    await database.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system does not know TCP_USER_TIMEOUT")
async def test_a_host_that_vanishes_is_noticed_before_a_commit_has_waited_for_long(station: Station) -> None:
    async with Network(station.url) as network:
        database = Database(network.url)
        await database.open()
        async with database.session() as tx:
            peer = getattr(tx, "_transport").get_extra_info("socket")  # noqa: B009  of the connection behind the proxy
            assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
            assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        await database.close()
