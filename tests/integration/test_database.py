"""The database may be away at any time: what is opened waits, what is open recovers, and a COMMIT is never cut off."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from asyncpg.pool import PoolConnectionHolder
from structlog.testing import capture_logs

from messages.transport.database import transactions, watchdog
from messages.transport.database.postgres import Database
from messages.transport.database.transactions import Transaction, locking, savepoint
from messages.transport.faults import Aborted, Collision, is_infrastructure
from tests.integration.network import Network
from tests.integration.toy.station import Station, has_lost_what_is_at_hand
from tests.integration.toy.waiting import until
from tests.servers.server import Server


@pytest.fixture
async def database(station: Station) -> AsyncIterator[Database]:
    database = Database(station.url)
    await database.open()
    yield database
    await database.close()


async def write(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute("INSERT INTO purchase VALUES ($1, 1)", uuid4())


async def test_what_was_done_in_a_transaction_is_committed_at_its_end(station: Station, database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute("INSERT INTO purchase VALUES ($1, 1)", uuid4())
        assert await station.count("purchase") == 0
    assert await station.count("purchase") == 1


async def test_an_error_rolls_back_and_goes_on_its_way(station: Station, database: Database) -> None:
    async def fail() -> None:
        async with database.transaction() as tx:
            await tx.execute("INSERT INTO purchase VALUES ($1, 1)", uuid4())
            raise KeyError("x")

    with pytest.raises(KeyError):
        await fail()
    assert await station.count("purchase") == 0
    await write(database)


async def test_an_error_of_the_first_statement_leaves_the_connection_usable(database: Database) -> None:
    for _ in range(3):
        with pytest.raises(asyncpg.UndefinedTableError):
            async with database.transaction("SELECT FROM nowhere"):
                pass
    await write(database)


async def test_the_rows_of_the_opening_statement_are_locked_for_the_whole_transaction(
    station: Station, database: Database
) -> None:
    order_id = uuid4()
    await station.rows("INSERT INTO purchase VALUES ($1, 1)", order_id)
    async with database.transaction(locking("purchase", [order_id, uuid4()])):
        with pytest.raises(asyncpg.LockNotAvailableError):
            await station.rows("SELECT FROM purchase FOR UPDATE NOWAIT")
    await station.rows("SELECT FROM purchase FOR UPDATE NOWAIT")


async def test_rows_are_locked_in_the_order_of_their_ids_wherever_they_stand(
    station: Station, database: Database
) -> None:
    low, high = sorted([uuid4(), uuid4()])
    await station.rows("INSERT INTO purchase VALUES ($1, 1), ($2, 1)", high, low)

    async def lock_both() -> None:
        async with database.transaction(locking("purchase", [high, low])):
            pass

    async with station.connection.transaction():
        await station.rows("SELECT FROM purchase WHERE order_id = $1 FOR UPDATE", low)
        locking_both = asyncio.create_task(lock_both())
        await until(station.somebody_waits)
        await station.rows("SELECT FROM purchase WHERE order_id = $1 FOR UPDATE NOWAIT", high)
    await locking_both


async def test_no_statement_is_planned_twice(database: Database) -> None:
    async with database.session() as tx:
        assert await tx.fetchval("SHOW plan_cache_mode") == "force_generic_plan"


@pytest.mark.parametrize("setting", ["statement_timeout", "idle_in_transaction_session_timeout"])
async def test_no_statement_takes_for_ever_and_nobody_keeps_locks_for_ever(database: Database, setting: str) -> None:
    async with database.session() as tx:
        assert await tx.fetchval(f"SHOW {setting}") == "1min"


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


def test_no_orders_need_no_lock() -> None:
    assert locking("purchase", []) == ""


async def test_a_transaction_that_failed_unnoticed_is_not_taken_for_committed(database: Database) -> None:
    async def hide() -> None:
        async with database.transaction() as tx:
            with pytest.raises(asyncpg.DivisionByZeroError):
                await tx.execute("SELECT 1 / 0")

    with pytest.raises(Aborted):
        await hide()
    await write(database)


async def test_what_is_done_within_a_savepoint_is_undone_alone(station: Station, database: Database) -> None:
    kept = [uuid4(), uuid4(), uuid4()]
    insert = "INSERT INTO purchase VALUES ($1, 1)"

    async def fail(tx: Transaction) -> None:
        async with savepoint(tx):
            await tx.execute(insert, uuid4())
            await tx.execute("SELECT 1 / 0")

    async with database.transaction() as tx:
        await tx.execute(insert, kept[0])
        for order_id in kept[1:]:
            with pytest.raises(asyncpg.DivisionByZeroError):
                await fail(tx)
            async with savepoint(tx):
                await tx.execute(insert, order_id)
    assert {row["order_id"] for row in await station.rows("SELECT order_id FROM purchase")} == set(kept)


@pytest.mark.parametrize("fails", [False, True])
async def test_no_savepoint_is_left_behind(database: Database, fails: bool) -> None:
    async def leave(tx: Transaction) -> None:
        async with savepoint(tx):
            if fails:
                raise LookupError

    async def release_again() -> None:
        async with database.transaction() as tx:
            with contextlib.suppress(LookupError):
                await leave(tx)
            await tx.execute("RELEASE SAVEPOINT undo")

    with pytest.raises(asyncpg.InvalidSavepointSpecificationError):
        await release_again()


async def test_an_error_within_a_savepoint_goes_on_its_way_where_the_connection_is_gone(database: Database) -> None:
    async def fail() -> None:
        async with database.transaction() as tx, savepoint(tx):
            tx.terminate()
            raise LookupError

    with pytest.raises(LookupError):
        await fail()


async def test_who_is_cancelled_within_a_savepoint_does_not_wait_for_a_silent_server(station: Station) -> None:
    async with Network(station.url) as network:
        database = Database(network.url)
        await database.open()

        async def be_cancelled() -> None:
            async with database.transaction() as tx, savepoint(tx):
                network.freeze()
                raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(be_cancelled(), 10)
        network.thaw()
        await database.close()


async def test_a_cancelled_task_rolls_back(station: Station, database: Database) -> None:
    async def work() -> None:
        async with database.transaction() as tx:
            await tx.execute("INSERT INTO purchase VALUES ($1, 1)", uuid4())
            await tx.execute("SELECT pg_sleep(30)")

    task = asyncio.create_task(work())
    await until(lambda: _is_sleeping(station))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert await station.count("purchase") == 0
    await write(database)


async def test_a_commit_that_was_sent_is_not_cut_off_by_a_cancellation(
    own_station: Station, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "LAST_WORD_SECONDS", 10.0)
    await own_station.rows(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$"
    )
    await own_station.rows(
        "CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON purchase DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION dawdle()"
    )
    database = Database(own_station.url)
    await database.open()
    task = asyncio.create_task(write(database))
    await until(lambda: _is_sleeping(own_station))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await own_station.count("purchase") == 1
    async with database.transaction() as tx:
        await tx.execute("SELECT 1")
    await database.close()
    assert caplog.text == ""


async def test_a_commit_that_fails_after_its_last_word_is_not_logged(
    station: Station, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "LAST_WORD_SECONDS", 0.1)
    committing = asyncio.Event()

    async def commit_in_silence(database: Database) -> None:
        async with database.transaction():
            network.freeze()
            committing.set()

    async with Network(station.url) as network:
        database = Database(network.url)
        await database.open()
        task = asyncio.create_task(commit_in_silence(database))
        await committing.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await database.close()
    gc.collect()
    assert caplog.text == ""


async def _is_sleeping(station: Station) -> bool:
    sleeping = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
    return bool(await station.rows(sleeping))


async def test_opening_waits_for_the_server(station: Station) -> None:
    async with Network(station.url) as network:
        url = network.url
    database = Database(url)
    opening = asyncio.create_task(database.open())
    await asyncio.sleep(0.3)
    assert not opening.done()
    assert not database.reachable
    await network.plug_in()
    await asyncio.wait_for(opening, 10)
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


async def _has_waited_twice(logs: Sequence[Mapping[str, object]], told: str) -> bool:
    waits = [line for line in logs if line["event"] == "waiting for PostgreSQL"]
    assert all(told in str(line["error"]) for line in waits)
    return len(waits) >= 2


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
    standby = await _two_backends(database)
    await own_station.rows(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError) as refused:  # for a connection stays as it was opened
        await write(database)
    assert is_infrastructure(refused.value)

    opened = database.connections_opened
    await write(database)

    assert database.connections_opened > opened  # which is how the memory knows that it must forget
    assert not await _two_backends(database) & standby
    await database.close()


async def _two_backends(database: Database) -> set[int]:
    async with database.session() as one, database.session() as other:
        return {await each.fetchval("SELECT pg_backend_pid()") for each in (one, other)}


# -- a server that falls silent on a connection


@pytest.mark.parametrize("at_hand", [True, False], ids=["at hand", "in the pool"])
async def test_who_is_left_without_an_answer_is_heard_elsewhere(
    station: Station, monkeypatch: pytest.MonkeyPatch, at_hand: bool
) -> None:
    monkeypatch.setattr(watchdog, "HUNG_SECONDS", 0.3)
    monkeypatch.setattr(watchdog, "SILENT_SECONDS", 0.3)
    async with Network(station.url) as network:
        database = Database(network.url)
        await database.open()
        await _two_backends(database)
        if not at_hand:
            assert database._pool is not None
            await database._release_at_hand(database._pool)
        network.forsake()
        with pytest.raises(Exception, match=r".*") as left:
            await asyncio.wait_for(write(database), 10)
        assert is_infrastructure(left.value)
        monkeypatch.setattr(watchdog, "HUNG_SECONDS", 60.0)
        monkeypatch.setattr(watchdog, "SILENT_SECONDS", 60.0)
        await asyncio.wait_for(write(database), 20)  # the other one that was open is silent as well
        assert await station.count("purchase") == 1
        await database.close()


async def test_a_connection_that_no_server_knows_is_given_up_soon(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "SILENT_SECONDS", 0.3)
    async with Network(station.url) as network:
        database = Database(network.url)
        await database.open()
        backend = await _backend(database)
        network.forsake()  # so the client is not told, as by a primary that stands still while another takes its place
        await station.rows("SELECT pg_terminate_backend($1)", backend)
        with pytest.raises(asyncpg.PostgresError) as left:
            await asyncio.wait_for(write(database), 10)
        assert is_infrastructure(left.value)
        await write(database)
        await database.close()


async def test_a_silent_host_does_not_hide_the_next(station: Station) -> None:
    async with Network(station.url) as silent, Network(station.url) as next_one:
        silent.freeze()
        hosts = f"{urlsplit(silent.url).netloc},{urlsplit(next_one.url).netloc.rpartition('@')[2]}"
        database = Database(urlsplit(silent.url)._replace(netloc=hosts).geturl())
        await asyncio.wait_for(database.open(), 15)
        began = asyncio.get_running_loop().time()
        await _two_backends(database)
        assert asyncio.get_running_loop().time() - began < 2  # it does not begin with the silent one again
        await database.close()


async def test_whoever_has_been_answered_is_not_taken_for_silent_later(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "HUNG_SECONDS", 0.1)
    monkeypatch.setattr(watchdog, "SILENT_SECONDS", 0.1)
    backend, opened = await _backend(database), database.connections_opened
    await asyncio.sleep(0.5)
    assert (await _backend(database), database.connections_opened) == (backend, opened)


async def test_a_server_that_answers_nobody_is_waited_for(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "HUNG_SECONDS", 0.1)
    monkeypatch.setattr(watchdog, "SILENT_SECONDS", 0.1)
    monkeypatch.setattr(watchdog, "ANSWER_SECONDS", 0.1)
    async with Network(station.url) as network:
        database = Database(network.url)
        await database.open()
        await write(database)
        network.freeze()
        writing = asyncio.create_task(write(database))
        await asyncio.sleep(1.0)
        assert not writing.done()
        # Otherwise who asks might be answered first.
        monkeypatch.setattr(watchdog, "HUNG_SECONDS", 60.0)
        monkeypatch.setattr(watchdog, "SILENT_SECONDS", 60.0)
        await asyncio.sleep(5 * watchdog.ANSWER_SECONDS)
        network.thaw()
        await writing
        assert await station.count("purchase") == 2
        await database.close()


async def test_a_commit_that_waits_for_a_standby_is_waited_for(
    own_postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "HUNG_SECONDS", 0.1)
    monkeypatch.setattr(watchdog, "SILENT_SECONDS", 0.1)
    admin = await asyncpg.connect(own_postgres.url)
    await admin.execute("CREATE TABLE purchase (order_id uuid, quantity integer)")
    database = Database(own_postgres.url)
    await database.open()
    await admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'absent'")
    await admin.execute("SELECT pg_reload_conf()")
    await until(partial(_commits_wait, admin))
    writing = asyncio.create_task(write(database))
    await asyncio.sleep(1.0)
    assert not writing.done()
    await admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
    await admin.execute("SELECT pg_reload_conf()")
    await writing
    assert await admin.fetchval("SELECT count(*) FROM purchase") == 1
    await database.close()
    await admin.close()


async def _commits_wait(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """The server's processes hear of a new setting one after the other, and commits wait once its checkpointer has."""
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS probe (); DROP TABLE probe", timeout=0.3)
    except TimeoutError:
        return True
    return False


async def test_a_connection_stays_at_hand(database: Database) -> None:
    assert await _backend(database) == await _backend(database)


async def test_a_connection_that_was_lost_while_it_was_at_hand_costs_nobody_a_try(
    station: Station, database: Database
) -> None:
    lost = await _backend(database)
    await station.rows("SELECT pg_terminate_backend($1)", lost)
    await until(lambda: has_lost_what_is_at_hand(database))
    assert await _backend(database) != lost
    await asyncio.gather(*(write(database) for _ in range(20)))


@pytest.fixture
def lost_on_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each connection that asyncpg takes back is lost between its first look at it and its second."""
    take_back = PoolConnectionHolder.release

    async def lose_first(holder: PoolConnectionHolder, timeout: float | None) -> None:  # noqa: ASYNC109  asyncpg's own
        holder.terminate()
        await take_back(holder, timeout)

    monkeypatch.setattr(PoolConnectionHolder, "release", lose_first)


@pytest.mark.usefixtures("lost_on_release")
async def test_a_connection_that_is_lost_just_as_it_is_given_back_fails_nothing(station: Station) -> None:
    database = Database(station.url, size=1)
    await database.open()
    await asyncio.gather(*(write(database) for _ in range(3)))
    assert await station.count("purchase") == 3
    assert database._at_hand
    await database.close()


async def test_a_connection_left_in_the_middle_of_something_is_not_used_again_as_it_is(database: Database) -> None:
    async def begin_and_leave() -> None:
        async with database.session() as tx:
            await tx.execute("BEGIN")
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await begin_and_leave()
    async with database.session() as tx:
        assert not tx.is_in_transaction()


async def test_who_is_at_work_while_it_is_closed_hears_what_went_wrong_and_nothing_else(station: Station) -> None:
    database = Database(station.url)
    await database.open()

    async def fail() -> None:
        async with database.session():
            await database.close()
            raise LookupError

    with pytest.raises(LookupError):
        await fail()


async def test_what_is_at_hand_is_closed_and_not_cut_off(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_off: list[object] = []
    monkeypatch.setattr(asyncpg.Pool, "terminate", cut_off.append)
    database = Database(station.url)
    await database.open()
    await asyncio.gather(*(write(database) for _ in range(10)))
    assert database._at_hand
    await database.close()
    assert cut_off == []


async def _backend(database: Database) -> int:
    async with database.session() as tx:
        pid: int = await tx.fetchval("SELECT pg_backend_pid()")
        return pid


async def test_a_pool_that_is_used_up_makes_callers_wait(station: Station) -> None:
    database = Database(station.url, size=2)
    await database.open()
    await asyncio.wait_for(asyncio.gather(*(write(database) for _ in range(30))), 20)
    assert await station.count("purchase") == 30
    await database.close()


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


async def test_no_connection_is_left_behind(own_station: Station) -> None:
    database = Database(own_station.url, application_name="toy")
    await database.open()
    await asyncio.gather(*(write(database) for _ in range(10)))
    await database.close()

    async def none() -> bool:
        return not await own_station.rows("SELECT FROM pg_stat_activity WHERE application_name = 'toy'")

    await until(none)


def test_a_mistake_in_a_handler_is_its_own_fault() -> None:
    own: list[Exception] = [ValueError(), KeyError(), AssertionError(), ZeroDivisionError(), Aborted()]
    own += [RecursionError(), asyncpg.UniqueViolationError(), asyncpg.CheckViolationError(), asyncpg.DataError()]
    own += [asyncpg.InFailedSQLTransactionError()]
    assert not any(is_infrastructure(error) for error in own)
    assert is_infrastructure(Collision())
    assert is_infrastructure(OSError())
