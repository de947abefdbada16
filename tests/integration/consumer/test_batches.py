"""A batch is what there is, in one transaction, and what is heard first comes before new work."""

import pytest

from messages.transport.batches import acknowledging
from messages.transport.broker import MANY_DOCUMENTS
from messages.transport.faults import Collision
from tests.integration.consumer.watched_broker import WatchedBroker
from tests.integration.toy.faults import raising
from tests.integration.toy.service import FAIL, HIDE_AN_ERROR, bought, numbered, paid, reported
from tests.integration.toy.station import Station
from tests.integration.toy.waiting import reaches


async def test_what_has_arrived_is_handled_in_one_transaction_in_the_order_of_its_arrival(station: Station) -> None:
    await station.say(*numbered(50))
    async with station.running():
        await station.until_heard(50)
    assert await station.batches() == [[str(number) for number in range(50)]]


async def test_reports_are_handled_by_themselves(station: Station) -> None:
    await station.say(reported("r1"), bought("b1"), reported("r2"), paid("p1"))
    async with station.running():
        await station.until_heard(4)
    assert sorted(await station.batches()) == [["p1", "b1"], ["r1", "r2"]]


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
    monkeypatch.setattr(acknowledging, "MAX_UNACKNOWLEDGED", 1)
    acknowledged: list[int] = []

    async def count() -> bool:
        acknowledged.append(await station.count("heard") + await station.count("parked"))
        return True

    await station.say_together(*numbered(23), paid("not of this queue, and all the same"), bought("24", FAIL))
    await station.publish("bought", b"\n".join([b"{}"] * 12), MANY_DOCUMENTS)
    async with station.running(WatchedBroker(station.broker, count), batch_documents=10):
        await station.until(lambda: reaches(lambda: len(acknowledged), 2))
    assert [len(batch) for batch in await station.batches()][:2] == [10, 10]
    assert await station.count("heard") == 24
    assert await station.count("parked") == 2
    assert acknowledged == [25, 26]


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
