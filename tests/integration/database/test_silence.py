"""A server that falls silent on a connection: who waits is heard elsewhere, or waited for where it has a reason."""

import asyncio
from functools import partial
from urllib.parse import urlsplit

import asyncpg
import pytest

from messages.transport.database import postgres, watchdog
from messages.transport.database.postgres import Database
from messages.transport.database.transactions import Transaction
from messages.transport.faults import is_infrastructure
from tests.integration.database.backends import backend_of, two_backends
from tests.integration.database.purchases import write
from tests.integration.network import Network
from tests.integration.toy.station import Station
from tests.integration.toy.waiting import reaches, until
from tests.servers.server import Server

NEVER_HUNG = "SELECT $1::integer < 0 AND $2::boolean AND $3::float < 0"


async def test_who_is_left_without_an_answer_is_heard_elsewhere(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Network(station.url) as network:
        database = Database(network.url)
        await database.open()
        await two_backends(database)
        network.forsake()
        soon_taken_for_silent(monkeypatch)
        with pytest.raises(Exception, match=r".*") as left:
            await asyncio.wait_for(write(database), 60)
        assert is_infrastructure(left.value)
        assert left.type is not TimeoutError
        never_taken_for_silent(monkeypatch)
        await asyncio.wait_for(write(database), 60)  # the other one that was open is silent as well
        assert await station.count("purchase") == 1
        await database.close()


@pytest.mark.parametrize("known", [True, False], ids=["its server waits for the client", "no server knows it"])
async def test_a_connection_on_which_nobody_works_is_given_up_soon(
    station: Station, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    async with Network(station.url) as network:
        database = Database(network.url)
        await database.open()
        backend = await backend_of(database)
        monkeypatch.setattr(watchdog, "SILENT_SECONDS", 0.3)
        monkeypatch.setattr(watchdog, "ANSWER_SECONDS", 1.0)
        network.forsake()  # nobody is told, as by a proxy, or a primary that stands still while another takes over
        if not known:
            await station.rows("SELECT pg_terminate_backend($1)", backend)
        with pytest.raises(asyncpg.PostgresError) as left:
            await asyncio.wait_for(write(database), 60)
        assert is_infrastructure(left.value)
        never_taken_for_silent(monkeypatch)
        await write(database)
        assert await station.count("purchase") == 1
        await database.close()


async def test_a_silent_host_does_not_hide_the_next(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "CONNECT_SECONDS", 2.0)
    async with Network(station.url) as silent, Network(station.url) as next_one:
        silent.freeze()
        hosts = f"{urlsplit(silent.url).netloc},{urlsplit(next_one.url).netloc.rpartition('@')[2]}"
        database = Database(urlsplit(silent.url)._replace(netloc=hosts).geturl())
        opening = asyncio.create_task(database.open())
        await until(partial(reaches, lambda: silent.accepted, 1))
        monkeypatch.setattr(postgres, "CONNECT_SECONDS", 60.0)
        await asyncio.wait_for(opening, 60)
        tried = silent.accepted
        await two_backends(database)
        assert 0 < tried == silent.accepted  # it does not begin with the silent one again
        await database.close()


async def test_whoever_has_been_answered_is_not_taken_for_silent_later(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await backend_of(database)
    soon_taken_for_silent(monkeypatch, 0.7)
    backend, opened = await backend_of(database), database.connections_opened
    await asyncio.sleep(1.0)
    assert (await backend_of(database), database.connections_opened) == (backend, opened)


async def test_a_server_that_answers_nobody_is_waited_for(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "ANSWER_SECONDS", 0.1)
    async with Network(station.url) as network:
        database = Database(network.url)
        await database.open()
        await write(database)
        network.freeze()
        soon_taken_for_silent(monkeypatch)
        writing = asyncio.create_task(write(database))
        await asyncio.sleep(1.0)
        assert not writing.done()
        # Who asks may be answered first.
        monkeypatch.setattr(watchdog, "IS_HUNG", NEVER_HUNG)
        network.thaw()
        await writing
        assert await station.count("purchase") == 2
        await database.close()


async def test_a_commit_that_waits_for_a_standby_is_waited_for(
    own_postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = await asyncpg.connect(own_postgres.url)
    await admin.execute("CREATE TABLE purchase (order_id uuid, quantity integer)")
    database = Database(own_postgres.url)
    await database.open()
    await write(database)
    await admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'absent'")
    await admin.execute("SELECT pg_reload_conf()")
    probe = await asyncpg.connect(own_postgres.url)
    await until(partial(_commits_wait, admin, probe))
    soon_taken_for_silent(monkeypatch, 0.7)
    writing = asyncio.create_task(write(database))
    await asyncio.sleep(1.0)
    assert not writing.done()
    await admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
    await admin.execute("SELECT pg_reload_conf()")
    await writing
    assert await admin.fetchval("SELECT count(*) FROM purchase") == 2
    await database.close()
    await asyncio.gather(admin.close(), probe.close())


async def test_closing_does_not_wait_long_for_a_silent_server(station: Station) -> None:
    async with Network(station.url) as network:
        database = Database(network.url)
        await database.open()
        at_work = asyncio.Event()

        async def work() -> None:
            async with database.session() as tx:
                at_work.set()
                await tx.execute("SELECT 1")

        network.freeze()
        stuck = asyncio.create_task(work())
        await at_work.wait()
        await asyncio.wait_for(database.close(), 10)
        (error,) = await asyncio.gather(stuck, return_exceptions=True)
        assert isinstance(error, Exception)
        assert is_infrastructure(error)
        network.thaw()


def soon_taken_for_silent(monkeypatch: pytest.MonkeyPatch, seconds: float = 0.3) -> None:
    """From the next statement on. The first one of a connection may take that long where the machine is busy."""
    monkeypatch.setattr(watchdog, "HUNG_SECONDS", seconds)
    monkeypatch.setattr(watchdog, "SILENT_SECONDS", seconds)


def never_taken_for_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "HUNG_SECONDS", 60.0)
    monkeypatch.setattr(watchdog, "SILENT_SECONDS", 60.0)


async def _commits_wait(admin: Transaction, probe: Transaction) -> bool:
    """The server's processes hear of a new setting one after the other, and commits wait once its checkpointer has."""
    committing = asyncio.create_task(probe.execute("CREATE TABLE IF NOT EXISTS probe (); DROP TABLE probe"))
    waits = "SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = $1"
    while not committing.done():
        if await admin.fetchval(waits, probe.get_server_pid()):
            committing.cancel()
            await asyncio.wait({committing})
            return True
    return False
