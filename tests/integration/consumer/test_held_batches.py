"""No document is at fault: the batch is held, and handled again until it can be committed."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from messages.transport.database import postgres
from messages.transport.database.transactions import Transaction
from messages.transport.faults import Collision, is_infrastructure
from tests.integration.toy.faults import failing, raising, raising_in_postgres
from tests.integration.toy.service import HIDE_AN_ERROR, Fault, bought, numbered, paid
from tests.integration.toy.station import Station

DATABASE_FAULTS = {
    "lost connection": "08006",
    "too many connections": "53300",
    "disk full": "53100",
    "out of memory": "53200",
    "shutdown": "57P01",
    "crash": "57P02",
    "starting up": "57P03",
    "statement timeout": "57014",
    "I/O error": "58030",
    "deadlock": "40P01",
    "serialization": "40001",
    "lock timeout": "55P03",
    "standby": "25006",
    "idle in transaction": "25P03",
    "missing privilege": "42501",
    "missing table": "42P01",
    "missing schema": "3F000",
    "wrong password": "28P01",
    "missing database": "3D000",
    "corrupted": "XX001",
}


@pytest.mark.parametrize("sqlstate", DATABASE_FAULTS.values(), ids=DATABASE_FAULTS)
def test_a_fault_of_the_database_is_no_documents_fault(sqlstate: str) -> None:
    assert is_infrastructure(asyncpg.PostgresError.new({"C": sqlstate, "M": "as arranged"}))


@pytest.mark.parametrize("fault", ["out of memory", "missing table"])
async def test_a_fault_of_the_database_holds_the_batch_whole_and_parks_nothing(station: Station, fault: str) -> None:
    station.toy.faults.extend([raising_in_postgres(DATABASE_FAULTS[fault])] * 2)
    await station.say(*numbered(5))
    async with station.running():
        await station.until_heard(5)
    assert len(await station.batches()) == 1
    assert await station.parked() == []


OTHER_FAULTS: dict[str, Fault] = {
    "terminated": failing("SELECT pg_terminate_backend(pg_backend_pid())"),
    "lock timeout": failing("SET LOCAL lock_timeout = 1; LOCK TABLE purchase"),
    "collision": raising(Collision()),
    "socket": raising(ConnectionResetError()),
    "timeout": raising(TimeoutError()),
    "driver": raising(asyncpg.InterfaceError("connection is closed")),
}


@pytest.mark.parametrize("name", OTHER_FAULTS)
async def test_a_lost_connection_or_a_collision_holds_the_batch_whole(station: Station, name: str) -> None:
    station.toy.faults.extend([OTHER_FAULTS[name]] * 3)
    await station.say(*numbered(5))
    blocker = await asyncpg.connect(station.url)
    await blocker.execute("BEGIN; LOCK TABLE purchase IN ACCESS SHARE MODE")
    async with station.running():
        await station.until_heard(5)
    await blocker.close()
    assert len(await station.batches()) == 1
    assert await station.parked() == []


async def test_collisions_are_tried_again_at_once(station: Station) -> None:
    station.toy.faults.extend([raising(Collision())] * 3)
    await station.say(bought("a"))
    with capture_logs() as logs:
        async with station.running() as running:
            await station.until_heard(1)
    assert running.counted("batch_retries", error="Collision") == 3
    assert "batch failed, retrying" not in [line["event"] for line in logs]


TOO_SLOW = failing("SET LOCAL statement_timeout = '10ms'; SELECT pg_sleep(5)")


async def test_a_batch_that_takes_longer_than_a_statement_may_is_halved_and_kept_in_order(station: Station) -> None:
    station.toy.faults.extend([TOO_SLOW] * 2)
    await station.say_together(*(bought(str(number)) for number in range(4)))
    async with station.running() as running:
        await station.until_heard(4)
    assert [documents for documents, _ in station.toy.calls] == [4, 2, 1, 1, 2]
    assert await station.heard() == ["0", "1", "2", "3"]
    assert await station.parked() == []
    assert running.counted("batch_retries", error="QueryCanceledError") == 2


async def test_a_document_that_takes_longer_than_a_statement_may_is_kept(station: Station) -> None:
    station.toy.faults.extend([TOO_SLOW] * 2)
    await station.say(bought("slow"))
    with capture_logs() as logs:
        async with station.running():
            await station.until_heard(1)
    assert [documents for documents, _ in station.toy.calls] == [1, 1, 1]
    told = [line["event"] for line in logs if str(line["event"]).startswith("batch ")]
    assert told == ["batch failed, retrying"] * 2
    assert await station.parked() == []


async def test_a_plan_that_a_migration_made_stale_is_no_documents_fault(own_station: Station) -> None:
    async with own_station.running() as running:
        for number in range(8):
            own_station.toy.faults.append(lambda tx: tx.fetch("SELECT * FROM purchase WHERE order_id = $1", uuid4()))
            await own_station.say(bought(f"before {number}"))
            await own_station.until_heard(number + 1)
        await own_station.rows("ALTER TABLE purchase ADD COLUMN colour text")
        own_station.toy.faults.extend([lambda tx: tx.fetch("SELECT * FROM purchase WHERE order_id = $1", uuid4())] * 2)
        await own_station.say(bought("after"))
        await own_station.until_heard(9)
        await running.ready()
    assert await own_station.parked() == []


async def test_a_transaction_that_a_handler_broke_and_hid_is_not_acknowledged_as_done(station: Station) -> None:
    await station.say(bought("a"), bought("careless", HIDE_AN_ERROR), bought("b"))
    async with station.running():
        await station.until_count("parked", 1)
        await station.until_heard(2)
    ((reason, _),) = await station.parked()
    assert reason == "handler_failed"


async def test_a_real_deadlock_costs_a_retry_and_parks_nothing(station: Station) -> None:
    first, second = uuid4(), uuid4()
    await station.rows("INSERT INTO purchase VALUES ($1, 0), ($2, 0)", first, second)
    other = await asyncpg.connect(station.url)
    await other.execute("BEGIN; SET LOCAL deadlock_timeout = '10min'")
    await other.execute("UPDATE purchase SET times = 1 WHERE order_id = $1", first)
    has_one, other_waits = asyncio.Event(), asyncio.Event()

    async def cross(tx: Transaction) -> None:
        await tx.execute("SET LOCAL deadlock_timeout = '20ms'")
        await tx.execute("UPDATE purchase SET times = 2 WHERE order_id = $1", second)
        has_one.set()
        await other_waits.wait()  # PostgreSQL looks for a deadlock once only, so soon after who waits last
        await tx.execute("UPDATE purchase SET times = 2 WHERE order_id = $1", first)

    station.toy.faults.append(cross)
    await station.say(*numbered(3))
    async with station.running() as running:
        await has_one.wait()
        crossing = asyncio.create_task(other.execute("UPDATE purchase SET times = 1 WHERE order_id = $1", second))
        await station.until(station.somebody_waits)
        other_waits.set()
        await crossing
        await other.execute("COMMIT")
        await station.until_heard(3)
    await other.close()
    assert await station.parked() == []
    assert running.counted("batch_retries", error="DeadlockDetectedError") == 1


async def test_a_transaction_that_could_not_lock_its_orders_leaves_a_clean_connection(
    own_station: Station, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "BEGIN", "BEGIN;SET LOCAL lock_timeout = '50ms';")
    message = bought("a")
    await own_station.rows("INSERT INTO purchase VALUES ($1, 0)", message.order_id)
    other = await asyncpg.connect(own_station.url)
    await other.execute("BEGIN; UPDATE purchase SET times = 1")
    async with own_station.running() as running:
        await own_station.say(message)
        await running.until_counted("batch_retries", 1, error="LockNotAvailableError")
        await other.close()
        await own_station.until_heard(1)
    assert "active transaction" not in caplog.text


async def test_answers_survive_a_database_that_cannot_count(station: Station) -> None:
    async def capacity(tx: Transaction) -> int:
        if station.toy.faults:
            await station.toy.faults.popleft()(tx)
        return 1

    station.toy.capacity = capacity
    station.toy.faults.extend([OTHER_FAULTS["terminated"]] * 3)
    await station.say(paid("answer"), bought("order"))
    async with station.running():
        await station.until_heard(2)
        await station.say(paid("later"))
        await station.until_heard(3)
    assert await station.left_in("toy.paid") == []
