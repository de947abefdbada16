"""The main loop of a service: one transaction a batch, acknowledged after it."""

import asyncio
from collections.abc import Callable

import pytest

from messages.transport.batches import intake
from messages.transport.broker import MANY_DOCUMENTS
from messages.transport.database.transactions import Transaction
from messages.transport.faults import Collision
from tests.integration.toy.faults import lose_three_times, raising, raising_in_postgres
from tests.integration.toy.service import (
    FAIL,
    HIDE_AN_ERROR,
    LOOK_AGAIN,
    NEVER_DECIDE,
    bought,
    numbered,
    paid,
)
from tests.integration.toy.station import Station, WatchedBroker, until

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


async def test_what_comes_for_the_fourth_time_is_handled_alone(station: Station) -> None:
    await station.say(*numbered(3))
    await lose_three_times(station, "toy.bought")
    await station.say(bought("new"))
    async with station.running():
        await station.until_heard(4)
    assert await station.batches() == [["0"], ["1"], ["2"], ["new"]]


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
