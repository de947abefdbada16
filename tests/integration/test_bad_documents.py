"""A document that cannot be read or handled is parked, alone, and the rest of its batch is handled."""

import asyncio
import json
from collections import Counter
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from messages.transport import log_throttle, parked, timeline
from messages.transport.broker import MANY_DOCUMENTS
from messages.transport.handled import Alarm, Outgoing
from messages.transport.incoming import Malformed
from tests.integration.toy.faults import raising
from tests.integration.toy.service import BREAK_A_RULE, FAIL, SHOUT, bought, numbered, paid
from tests.integration.toy.station import Station, document

FORBID_PARKING = "ALTER TABLE parked ADD CONSTRAINT full_house CHECK (reason = '') NOT VALID"
ALLOW_PARKING = "ALTER TABLE parked DROP CONSTRAINT full_house"


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
    monkeypatch.setattr(log_throttle, "KIND_AGAIN_AFTER_SECONDS", 0.5)
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
