"""The main loop of a service: one transaction a batch, acknowledged after it; retries, and parking of bad documents."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from messages.transport import flood, parked, timeline
from messages.transport.batches import consumer, intake, transactor
from messages.transport.batches.intake import Intake
from messages.transport.batches.taken import Taken
from messages.transport.broker import MANY_DOCUMENTS
from messages.transport.database import postgres
from messages.transport.database.lock_mode import LockMode
from messages.transport.database.row_cache import RowCache
from messages.transport.database.transactions import Transaction
from messages.transport.database.versioned import Column, Table
from messages.transport.faults import Collision, is_infrastructure
from messages.transport.handled import Alarm, Outgoing
from messages.transport.in_process import queues
from messages.transport.incoming import Incoming, Malformed
from tests.integration.toy.service import (
    BREAK_A_RULE,
    FAIL,
    HIDE_AN_ERROR,
    LOOK_AGAIN,
    NEVER_DECIDE,
    SHOUT,
    Bought,
    Fault,
    Paid,
    bought,
    paid,
)
from tests.integration.toy.station import Station, WatchedBroker, document, until

FORBID_PARKING = "ALTER TABLE parked ADD CONSTRAINT full_house CHECK (reason = '') NOT VALID"
ALLOW_PARKING = "ALTER TABLE parked DROP CONSTRAINT full_house"
PURCHASES = Table("purchase", ["order_id"], {"order_id": Column("uuid")})


def numbered(number: int) -> list[Bought]:
    return [bought(str(each)) for each in range(number)]


def raising(error: Exception) -> Fault:
    async def fault(_tx: Transaction) -> None:
        raise error

    return fault


def failing(statement: str) -> Fault:
    return lambda tx: tx.execute(statement)


def raising_in_postgres(sqlstate: str) -> Fault:
    return failing(f"DO $$ BEGIN RAISE EXCEPTION 'as arranged' USING ERRCODE = '{sqlstate}'; END $$")


# -- a batch is what there is, in one transaction


async def test_what_has_arrived_is_handled_in_one_transaction_in_the_order_of_its_arrival(station: Station) -> None:
    await station.say(*numbered(50))
    async with station.running():
        await station.until_heard(50)
    assert await station.batches() == [[str(number) for number in range(50)]]


async def test_a_single_document_is_handled_at_once(station: Station) -> None:
    async with station.running() as running:
        await running.ready()
        for number in range(3):
            await station.say(bought(str(number)))
            await station.until_heard(number + 1)
    assert await station.batches() == [["0"], ["1"], ["2"]]


async def test_what_arrives_while_a_batch_is_handled_makes_the_next_one(station: Station) -> None:
    station.toy.gate.clear()
    async with station.running():
        await station.say(bought("first"))
        await station.toy.entered.wait()
        await station.say(*numbered(30))
        station.toy.gate.set()
        await station.until_heard(31)
    assert [len(batch) for batch in await station.batches()] == [1, 30]


async def test_what_is_heard_first_is_handled_before_new_work(station: Station) -> None:
    await station.say(bought("b1"), bought("b2"), paid("p1"), bought("b3"), paid("p2"))
    async with station.running():
        await station.until_heard(5)
    assert await station.heard() == ["p1", "p2", "b1", "b2", "b3"]


async def test_under_an_unending_flow_of_new_work_answers_wait_for_one_batch_only(station: Station) -> None:
    await station.say(*numbered(40))
    station.toy.gate.clear()
    async with station.running(batch_documents=10):
        await station.toy.entered.wait()
        await station.say(paid("answer"))
        station.toy.gate.set()
        await station.until_heard(41)
    assert (await station.batches())[1][0] == "answer"


async def test_an_envelope_of_many_documents_is_handled_like_many_messages(station: Station) -> None:
    await station.say_together(*numbered(20))
    await station.say(bought("alone"))
    async with station.running():
        await station.until_heard(21)
    assert len(await station.batches()) == 1


async def test_batches_are_capped_in_documents(station: Station) -> None:
    await station.say(*numbered(25))
    async with station.running(batch_documents=10):
        await station.until_heard(25)
    assert [len(batch) for batch in await station.batches()] == [10, 10, 5]


async def test_an_envelope_larger_than_a_batch_is_handled_in_several_and_acknowledged_after_the_last(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "MAX_UNACKNOWLEDGED", 1)
    acknowledged: list[int] = []

    async def count() -> bool:
        acknowledged.append(await station.count("heard") + await station.count("parked"))
        return True

    await station.say_together(*numbered(23), paid("not of this queue, and all the same"), bought("24", FAIL))
    await station.publish("bought", b"\n".join([b"{}"] * 12), MANY_DOCUMENTS)
    async with station.running(WatchedBroker(station.broker, count), batch_documents=10):
        await station.until(lambda: _reaches(lambda: len(acknowledged), 2))
    assert [len(batch) for batch in await station.batches()][:2] == [10, 10]
    assert await station.count("heard") == 24
    assert await station.count("parked") == 2
    assert acknowledged == [25, 26]


async def _reaches(value: Callable[[], int], expected: int) -> bool:
    return value() >= expected


async def test_outcomes_are_counted_once_they_are_committed_and_not_as_often_as_they_are_tried(
    station: Station,
) -> None:
    station.toy.faults.extend([raising(Collision())] * 2)
    await station.say_together(bought("a"), bought("b"), bought("c", HIDE_AN_ERROR))
    async with station.running() as running:
        await station.until_count("parked", 1)
        await station.until_told(2)
        assert len(station.toy.calls) > 3
        assert running.counted("outcomes", outcome="heard", reason="") == 2


# -- acknowledged is what was committed


async def test_nothing_is_acknowledged_before_it_is_committed(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "MAX_UNACKNOWLEDGED", 1)
    seen: list[int] = []

    async def look() -> bool:
        seen.append(await station.count("heard"))
        return True

    await station.say(*numbered(30))
    async with station.running(WatchedBroker(station.broker, look), batch_documents=10):
        await station.until_heard(30)
    assert seen == [10, 20, 30]
    assert await station.left_in("toy.bought") == []


async def test_what_was_committed_and_not_acknowledged_comes_again(station: Station) -> None:
    async def lose() -> bool:
        return False

    await station.say(bought("a"), bought("b"))
    async with station.running(WatchedBroker(station.broker, lose)):
        await station.until_heard(2)
    async with station.running():
        await station.until_heard(4)
    assert await station.heard() == ["a", "b", "a", "b"]
    assert await station.left_in("toy.bought") == []


async def test_a_connection_lost_in_mid_batch_acknowledges_nothing_of_the_next(station: Station) -> None:
    broker = station.broker.beside()
    station.toy.gate.clear()
    async with station.running(broker, batch_documents=2):
        await station.say(*numbered(4))
        await station.toy.entered.wait()
        broker.break_connection()
        station.toy.faults.append(raising_in_postgres("57014"))
        station.toy.gate.set()
        await station.until(lambda: _at_least(station, 6))
    assert sorted(set(await station.heard())) == ["0", "1", "2", "3"]
    assert await station.left_in("toy.bought") == []


async def _at_least(station: Station, number: int) -> bool:
    return await station.count("heard") >= number


async def _lose_three_times(station: Station, queue: str) -> None:
    """Whatever is in the queue is given to somebody who does not live to handle it."""
    loser = station.client.beside()
    await loser.start()
    await loser.subscribe(queue, 100, lambda: None)
    for _ in range(2):
        loser.break_connection()
    await loser.close()


async def test_what_comes_for_the_fourth_time_is_handled_alone(station: Station) -> None:
    await station.say(*numbered(3))
    await _lose_three_times(station, "toy.bought")
    await station.say(bought("new"))
    async with station.running():
        await station.until_heard(4)
    assert await station.batches() == [["0"], ["1"], ["2"], ["new"]]


# -- a document is at fault: it is parked, alone


@pytest.mark.parametrize(("wish", "told"), [(FAIL, "ValueError: cannot handle"), (BREAK_A_RULE, "CheckViolationError")])
async def test_a_document_that_cannot_be_handled_is_parked_alone_and_the_rest_handled_once(
    station: Station, wish: str, told: str
) -> None:
    poison = bought("poison", wish)
    await station.say(*numbered(20), poison, *numbered(20), paid("answer"))
    async with station.running():
        await station.until_count("parked", 1)
        await station.until_heard(41)
    assert sorted(await station.heard()) == sorted(
        [*(str(number) for number in range(20)), "answer"] + [str(number) for number in range(20)]
    )
    ((reason, detail),) = await station.parked()
    assert reason == "handler_failed"
    assert detail.startswith(told)
    (row,) = await station.rows("SELECT * FROM parked")
    assert (row["type"], row["order_id"], row["queue"]) == ("Bought/1.0", poison.order_id, "toy.bought")
    assert b'"text":"poison"' in row["body"]
    assert sorted(station.texts()) == sorted(await station.heard())
    assert await station.left_in("toy.bought") == []


async def test_what_somebody_has_to_look_at_is_logged_with_its_order_its_message_and_its_trace(
    station: Station,
) -> None:
    trace, order_id = uuid4().hex, uuid4()
    message_ids = {event: str(uuid4()) for event in ("handler failed", "alarm", "parked")}
    wishes: dict[str, object] = {"handler failed": FAIL, "alarm": SHOUT, "parked": 1}
    for event, wish in wishes.items():
        names = {
            "message_id": message_ids[event],
            "order_id": str(order_id),
            "traceparent": f"00-{trace}-{'1' * 16}-01",
        }
        await station.publish("bought", json.dumps({"type": "Bought/1.0", "text": "a", "wish": wish} | names).encode())
    with capture_logs() as logs:
        async with station.running():
            await station.until_count("parked", 2)
            await parked.request_replay(station.connection, None)
            await station.until_count("parked WHERE times > 1", 2)
            await station.until_heard(1)
    told = {(line["event"], str(line["message_id"])) for line in logs if "message_id" in line}
    assert set(message_ids.items()) < told
    assert {("replay failed", message_ids[event]) for event in ("handler failed", "parked")} < told
    assert {(line["order_id"], line["trace_id"]) for line in logs if "message_id" in line} == {(order_id, trace)}


async def test_several_bad_documents_of_a_batch_are_each_parked(station: Station) -> None:
    wishes = {3: FAIL, 4: FAIL, 17: BREAK_A_RULE, 31: FAIL}
    await station.say_together(*(bought(str(number), wishes.get(number, "")) for number in range(32)))
    async with station.running():
        await station.until_count("parked", 4)
        await station.until_heard(28)
    assert await station.heard() == [str(number) for number in range(32) if number not in wishes]


async def test_documents_stay_in_order_when_a_batch_is_split(station: Station) -> None:
    await station.say(*(bought(str(number), FAIL if number == 6 else "") for number in range(13)))
    async with station.running():
        await station.until_heard(12)
    assert await station.heard() == [str(number) for number in range(13) if number != 6]


async def test_an_unreadable_document_is_parked_in_the_transaction_of_its_batch_and_its_sender_is_told(
    station: Station,
) -> None:
    await station.say(bought("a"))
    await station.publish("bought", b"\xff")
    await station.say(bought("b"))
    async with station.running():
        await station.until_heard(2)
        await station.until_told(3)
    assert await station.batches() == [["a", "b"]]
    assert [reason for reason, _ in await station.parked()] == ["not_json"]
    (rejection,) = [outcome for outcome in station.outcomes() if outcome["type"] == "RequestRejected/1.0"]
    assert rejection["reason"] == "malformed"
    (row,) = await station.rows("SELECT p.xmin::text = h.transaction AS same FROM parked p, heard h WHERE h.text = 'a'")
    assert row["same"]


async def test_the_same_unreadable_bytes_are_parked_once_and_counted(station: Station) -> None:
    for _ in range(2):
        await station.publish("bought", b"{")
    async with station.running() as running:
        await station.until_count("parked", 1)
        await station.publish("paid", b"{")
        await station.until(lambda: _times(station, 2))
        await running.ready()
    ((queue,),) = await station.rows("SELECT queue FROM parked")
    assert queue == "toy.paid"


async def _times(station: Station, times: int) -> bool:
    return bool(await station.rows("SELECT FROM parked WHERE times = $1", times))


async def test_a_document_whose_type_carries_a_nul_is_parked(station: Station) -> None:
    await station.publish("bought", document(bought()).replace(b"Bought/1.0", rb"Bought\u0000/1.0"))
    async with station.running():
        await station.until_count("parked", 1)
    assert [reason for reason, _ in await station.parked()] == ["no_type"]


async def test_another_major_version_is_parked_and_a_later_minor_one_is_handled(station: Station) -> None:
    await station.publish("bought", document(bought("later")).replace(b"Bought/1.0", b"Bought/1.7"))
    await station.publish("bought", document(bought("other")).replace(b"Bought/1.0", b"Bought/2.0"))
    async with station.running():
        await station.until_heard(1)
        await station.until_count("parked", 1)
    assert await station.heard() == ["later"]
    assert [reason for reason, _ in await station.parked()] == ["unknown_version"]


async def test_whatever_arrives_is_handled_or_parked(station: Station) -> None:
    bodies = [b"", b"null", b"[]", b'{"type":1}', b"\x00", b"{" * 20_000, b"x" * 70_000, document(bought())[:-5]]
    for body in bodies:
        await station.publish("bought", body)
        await station.publish("paid", body, MANY_DOCUMENTS)
    async with station.running():
        await station.until_count("parked", len(bodies))
    assert await station.left_in("toy.bought") == []
    assert await station.left_in("toy.paid") == []


async def test_poison_beside_unreadable_documents_costs_neither_the_others_nor_itself(station: Station) -> None:
    await station.publish("bought", b"\xff")
    await station.say(bought("good"), bought("poison", FAIL))
    await station.publish("bought", b"\xfe")
    async with station.running():
        await station.until_count("parked", 3)
        await station.until_heard(1)
    assert sorted(reason for reason, _ in await station.parked()) == ["handler_failed", "not_json", "not_json"]
    assert [row["times"] for row in await station.rows("SELECT times FROM parked")] == [1, 1, 1]


async def test_a_batch_that_fails_only_as_a_whole_is_handled_in_parts(station: Station) -> None:
    station.toy.faults.append(raising(ValueError("too many cooks")))
    await station.say(*numbered(10))
    async with station.running():
        await station.until_heard(10)
    assert [len(batch) for batch in await station.batches()] == [5, 5]
    assert await station.parked() == []


async def test_what_a_batch_that_failed_wanted_said_is_not_said(station: Station) -> None:
    await station.say(bought("good"), bought("poison", FAIL), bought("loud", SHOUT))
    async with station.running() as running:
        await station.until_heard(2)
        await station.until_told(2)
    assert sorted(station.texts()) == ["good", "loud"]
    assert running.counted("alarms", alarm="shouted") == 1
    assert await station.count("timeline") == 2


async def test_an_alarm_about_an_order_is_a_line_of_its_story(station: Station) -> None:
    loud = bought("loud", SHOUT)
    await station.say(loud, bought("quiet"))
    async with station.running():
        await station.until_heard(2)
    rows = await station.rows(
        "SELECT order_id, event, detail, message_id FROM published.timeline WHERE event = 'Alarm'"
    )
    ((message_id,),) = await station.rows("SELECT message_id FROM heard WHERE text = 'loud'")
    assert [tuple(row) for row in rows] == [(loud.order_id, "Alarm", "shouted: loud", message_id)]
    assert timeline.entries_of([Alarm("about no order")]) == []


async def test_of_what_is_parked_in_floods_the_log_tells_seldom_and_how_much_it_leaves_out(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flood, "AGAIN_AFTER_SECONDS", 0.5)
    with capture_logs() as logs:
        async with station.running(batch_documents=7) as running:
            for number in range(30):
                await station.publish("bought", b"{" + b"%d" % number)
            await station.say(*[bought(f"bad {number}", FAIL) for number in range(2)], bought("loud", SHOUT))
            await station.say(bought("also loud", SHOUT))
            await running.until_counted("messages_parked", 30, reason="not_json")
            await running.until_counted("messages_parked", 2, reason="handler_failed")
            await station.until_heard(2)
            await asyncio.sleep(0.5)
            await station.publish("bought", b"{ once more")
            await running.until_counted("messages_parked", 31, reason="not_json")
    told = [(line["reason"], line["suppressed"]) for line in logs if line["event"] == "parked"]
    assert told[-1] == ("not_json", 30 - sum(reason == "not_json" for reason, _ in told[:-1]))
    assert Counter(reason for reason, _ in told)["not_json"] <= 3
    assert [line["detail"] for line in logs if line["event"] == "alarm"] == ["loud", "also loud"]


# -- nobody is at fault: the batch is held


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
    "cancelled": failing("SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(5)"),
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
    assert "batch held" not in [line["event"] for line in logs]


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


class Pairs:
    """Whatever is heard first belongs together two by two."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.closed: list[int] = []

    def is_incomplete(self, documents: Sequence[Incoming]) -> bool:
        self.asked.set()
        return len(documents) % 2 == 1 and isinstance(documents[0].message, Paid)

    def close(self, documents: Sequence[Incoming]) -> None:
        self.closed.append(len(documents))


async def test_what_belongs_together_and_comes_a_moment_later_is_one_batch(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "GATHER_SECONDS", 5.0)
    station.toy.gathering = pairs = Pairs()
    async with station.running() as running:
        await running.ready()
        await station.say(paid("one"))
        await pairs.asked.wait()
        await station.say(paid("other"))
        await station.until_heard(2)
        await station.say(bought("alone"))
        await station.until_heard(3)
    assert await station.batches() == [["one", "other"], ["alone"]]
    assert pairs.closed == [2, 1]
    assert await station.left_in("toy.paid") == []


async def test_what_comes_while_something_else_is_waited_for_is_parked_where_it_cannot_be_read(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "GATHER_SECONDS", 0.5)
    station.toy.gathering = pairs = Pairs()
    async with station.running():
        await station.say(paid("one"))
        await pairs.asked.wait()
        await station.publish("paid", b"\xff")
        await station.until_heard(1)
    assert [reason for reason, _ in await station.parked()] == ["not_json"]
    assert await station.left_in("toy.paid") == []


async def test_what_belongs_together_is_waited_for_a_moment_and_then_handled_without(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    wait = Intake.more

    async def watched(self: Intake, seconds: float, taken: Sequence[Taken]) -> list[Taken]:
        waited.append(seconds)
        return await wait(self, seconds, taken)

    monkeypatch.setattr(Intake, "more", watched)
    station.toy.gathering = pairs = Pairs()
    async with station.running():
        await station.say(paid("one"))
        await station.until_heard(1)
    assert waited
    assert max(waited) <= consumer.GATHER_SECONDS
    assert pairs.closed == [1]


async def test_what_has_to_be_alone_is_not_joined_by_what_belongs_to_it(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a channel that has had something harmless before: what comes next is there already.
    monkeypatch.setattr(queues, "FAILURES_BEFORE_ISOLATION", 100)
    await station.say(paid("one"))
    await _lose_three_times(station, "toy.paid")
    await station.say(paid("other"))
    station.toy.gathering = Pairs()
    async with station.running():
        await station.until_heard(2)
    assert await station.batches() == [["one"], ["other"]]


async def test_a_daemon_that_stops_waits_for_nothing(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "GATHER_SECONDS", 60.0)
    station.toy.gathering = pairs = Pairs()
    async with station.running():
        await station.say(paid("one"))
        await pairs.asked.wait()
    assert await station.heard() == ["one"]


async def test_a_service_that_remembers_is_tried_without_a_transaction_and_others_are_not(station: Station) -> None:
    modes: list[bool] = []

    async def look(tx: Transaction) -> None:
        modes.append(tx.is_in_transaction())

    for row_cache in (RowCache[Any](PURCHASES), None):
        station.toy.row_cache = row_cache
        station.toy.faults.append(look)
        async with station.running():
            await station.say_together(bought("one"), bought("other"))
            await station.until_heard(4 if row_cache is None else 2)
    assert modes == [False, True]


async def test_what_can_only_be_parked_needs_a_transaction(station: Station) -> None:
    station.toy.row_cache = RowCache(PURCHASES)
    modes: list[bool] = []

    async def look(tx: Transaction) -> None:
        modes.append(tx.is_in_transaction())

    station.toy.faults.append(look)
    await station.publish("bought", b"\xff")
    await station.say(bought("one"))
    async with station.running():
        await station.until_heard(1)
    assert modes == [True]


async def test_what_collided_is_handled_again_with_more_care_and_so_is_what_comes_soon_after(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactor, "SKIPPED_BATCHES", 4)

    async def collide(_tx: Transaction) -> None:
        raise Collision

    async def go_on(_tx: Transaction) -> None:
        return

    station.toy.row_cache = RowCache(PURCHASES)
    station.toy.faults.extend([collide, collide, go_on, go_on, go_on, collide, go_on, go_on, go_on])
    async with station.running():
        for number in range(6):
            await station.say(bought(str(number)))
            await station.until_heard(number + 1)
    remembering, reading, locking = LockMode.CACHED, LockMode.OPTIMISTIC, LockMode.PESSIMISTIC
    assert station.toy.cares == [
        *(remembering, reading, locking), locking, locking, *(remembering, reading), reading, reading,
    ]  # fmt: skip
    assert await station.heard() == [str(number) for number in range(6)]


async def test_a_sender_is_told_of_its_own_mistakes_and_not_of_ours(station: Station) -> None:
    blamed: list[str] = []

    def blame(document: Malformed) -> list[Outgoing]:
        blamed.append(document.reason)
        return []

    station.toy.rejecting = blame
    await station.say(bought("poison", FAIL))
    await station.publish("bought", b"poison")
    async with station.running():
        await station.until_count("parked", 2)
    assert blamed == ["not_json"]


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
    await other.execute("BEGIN; SET LOCAL deadlock_timeout = '10s'")
    await other.execute("UPDATE purchase SET times = 1 WHERE order_id = $1", first)
    waiting = asyncio.Event()

    async def cross(tx: Transaction) -> None:
        await tx.execute("SET LOCAL deadlock_timeout = '20ms'")
        await tx.execute("UPDATE purchase SET times = 2 WHERE order_id = $1", second)
        waiting.set()
        await tx.execute("UPDATE purchase SET times = 2 WHERE order_id = $1", first)

    station.toy.faults.append(cross)
    await station.say(*numbered(3))
    async with station.running() as running:
        await waiting.wait()
        await other.execute("UPDATE purchase SET times = 1 WHERE order_id = $1", second)
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


async def test_a_database_that_will_not_park_holds_the_batch_until_it_does(own_station: Station) -> None:
    await own_station.rows(FORBID_PARKING)
    await own_station.publish("bought", b"\xff")
    await own_station.say(bought("good"), bought("poison", FAIL))
    async with own_station.running() as running:
        await running.until_counted("batch_retries", 3, error="CheckViolationError")
        assert await own_station.parked() == []
        await own_station.rows(ALLOW_PARKING)
        await own_station.until_count("parked", 2)
        await own_station.until_heard(1)
    assert await own_station.left_in("toy.bought") == []


async def test_a_service_that_cannot_answer_an_unreadable_document_still_parks_it(station: Station) -> None:
    def fail(document: Malformed) -> list[Outgoing]:
        raise KeyError(document.reason)

    station.toy.rejecting = fail
    await station.publish("bought", b"\xff")
    await station.say(bought("good"))
    async with station.running():
        await station.until_heard(1)
        await station.until_count("parked", 1)
    assert await station.left_in("toy.bought") == []


# -- look again


async def test_what_is_to_be_looked_at_again_is_handled_waiting_in_a_transaction_of_its_own(station: Station) -> None:
    await station.say(bought("a"), bought("b", LOOK_AGAIN), bought("c"), bought("d", LOOK_AGAIN))
    async with station.running():
        await station.until_heard(4)
    assert await station.batches() == [["a", "c"], ["b", "d"]]
    rows = await station.rows("SELECT text FROM heard WHERE waiting ORDER BY position")
    assert [row["text"] for row in rows] == ["b", "d"]


async def test_what_is_looked_at_again_is_counted_once(station: Station) -> None:
    await station.say(bought("a"), bought("b", LOOK_AGAIN))
    async with station.running() as running:
        await station.until_heard(2)
    assert running.counted("messages_received", type="Bought") == 2
    assert running.process.metrics.registry.get_sample_value("ordersaga_batch_documents_sum") == 2


async def test_nothing_is_acknowledged_before_the_second_look_is_committed(station: Station) -> None:
    seen: list[int] = []

    async def look() -> bool:
        seen.append(await station.count("heard"))
        return True

    await station.say(bought("a"), bought("b", LOOK_AGAIN))
    async with station.running(WatchedBroker(station.broker, look)):
        await station.until_heard(2)
    assert seen == [2]


async def test_a_second_look_is_held_and_split_like_a_first(station: Station) -> None:
    async def nothing(_tx: Transaction) -> None: ...

    station.toy.faults.extend([nothing, raising(Collision()), raising(ValueError("not together"))])
    await station.say(*(bought(str(number), LOOK_AGAIN) for number in range(4)))
    async with station.running():
        await station.until_heard(4)
    assert await station.batches() == [["0", "1"], ["2", "3"]]
    assert station.toy.calls == [(4, False), (4, True), (4, True), (2, True), (2, True)]


async def test_what_is_not_decided_when_looked_at_again_is_parked_and_not_looked_at_for_ever(station: Station) -> None:
    await station.say(bought("a", NEVER_DECIDE), bought("b", LOOK_AGAIN))
    async with station.running():
        await station.until_count("parked", 1)
        await station.until_heard(1)
    assert await station.heard() == ["b"]
    assert await station.left_in("toy.bought") == []


# -- new work pauses while too many orders are undecided


async def test_new_work_pauses_at_the_limit_and_resumes(station: Station) -> None:
    async def capacity(tx: Transaction) -> int:
        left: int = await tx.fetchval(
            "SELECT 4 - count(*) FROM heard h WHERE type = 'Bought'"
            " AND NOT EXISTS (SELECT FROM heard p WHERE p.type = 'Paid' AND p.text = h.text)"
        )
        return left

    station.toy.capacity = capacity
    await station.say(*numbered(10))
    async with station.running():
        await station.until_heard(4)
        await station.say(paid("x"))
        await station.until_heard(5)
        await asyncio.sleep(0.1)
        assert await station.count("heard") == 5
        await station.say(paid("0"), paid("1"))
        await station.until_heard(9)
        await station.say(*(paid(str(number)) for number in range(2, 10)))
        await station.until_heard(21)
    assert [text for text in await station.heard() if text != "x"][:4] == ["0", "1", "2", "3"]


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


# -- stopping


async def test_a_batch_in_hand_is_finished_and_acknowledged_before_it_stops(station: Station) -> None:
    station.toy.gate.clear()
    await station.say(bought("in hand"))
    async with station.running() as running:
        await station.toy.entered.wait()
        running.stop.set()
        await asyncio.wait_for(running.process._consumer._stopping.wait(), 20)
        await station.say(bought("too late"))
        station.toy.gate.set()
        await asyncio.wait_for(running.task, 5)
    assert await station.heard() == ["in hand"]
    assert station.texts() == ["in hand"]
    assert await station.count("outbox") == 0
    assert [b'"too late"' in body for body in await station.left_in("toy.bought")] == [True]


async def test_a_stop_in_mid_retry_leaves_the_batch_to_be_delivered_again(station: Station) -> None:
    station.toy.faults.extend([raising_in_postgres("53300")] * 1_000)
    await station.say(bought("held"))
    async with station.running(drain_seconds=60.0) as running:
        await station.until(lambda: _reaches(lambda: 998 - len(station.toy.faults), 2))
        running.stop.set()
        await asyncio.wait_for(running.task, 20)
    assert await station.heard() == []
    assert len(await station.left_in("toy.bought")) == 1


async def test_an_idle_process_stops_at_once(station: Station) -> None:
    async with station.running(drain_seconds=60.0) as running:
        await running.ready()
        running.stop.set()
        await asyncio.wait_for(running.task, 20)


async def test_a_stop_at_any_moment_loses_nothing(station: Station) -> None:
    for round_number in range(12):
        await station.say(*(bought(f"{round_number}-{number}") for number in range(20)))
        async with station.running(batch_documents=7):
            await asyncio.sleep(round_number * 0.007)
    async with station.running():
        await until(lambda: _distinct(station, 240))
    await station.until_told(240)
    assert await station.parked() == []
    assert set(station.texts()) == set(await station.heard())


async def _distinct(station: Station, number: int) -> bool:
    ((count,),) = await station.rows("SELECT count(DISTINCT text) FROM heard")
    return bool(count == number)
