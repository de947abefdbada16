"""What somebody has to look at is told: in the log, which does not flood, and in the order's story."""

import json
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from messages.transport import log_throttle, timeline
from messages.transport.broker import MANY_DOCUMENTS
from messages.transport.handled import Alarm
from tests.integration.parked.replays import request_all
from tests.integration.toy.service import FAIL, SHOUT, bought
from tests.integration.toy.station import Station


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
            await request_all(station.connection)
            await station.until_count("parked WHERE times > 1", 2)
            await station.until_heard(1)
    told = {(line["event"], str(line["message_id"])) for line in logs if "message_id" in line}
    assert set(message_ids.items()) < told
    assert {("replay failed", message_ids[event]) for event in ("handler failed", "parked")} < told
    assert {(line["order_id"], line["trace_id"]) for line in logs if "message_id" in line} == {(order_id, trace)}


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


async def test_a_note_of_several_lines_is_one_line_of_its_story_and_moves_no_other(station: Station) -> None:
    first, second = bought("first\nline"), bought("second")
    await station.say_together(first, second)
    async with station.running():
        await station.until_heard(2)
    rows = await station.rows("SELECT order_id, detail FROM published.timeline ORDER BY detail")
    assert [tuple(row) for row in rows] == [(first.order_id, "first line"), (second.order_id, "second")]


async def test_of_what_is_parked_in_floods_the_log_tells_seldom_and_how_much_it_leaves_out(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_throttle, "KIND_AGAIN_AFTER_SECONDS", 3_600.0)
    with capture_logs() as logs:
        async with station.running(batch_documents=7) as running:
            for number in range(30):
                await station.publish("bought", b"{" + b"%d" % number)
            await station.say(*[bought(f"bad {number}", FAIL) for number in range(2)], bought("loud", SHOUT))
            await station.say(bought("also loud", SHOUT))
            await running.until_counted("messages_parked", 30, reason="not_json")
            await running.until_counted("messages_parked", 2, reason="handler_failed")
            await station.until_heard(2)
            monkeypatch.setattr(log_throttle, "KIND_AGAIN_AFTER_SECONDS", 0.0)
            await station.publish("bought", b"{ once more")
            await running.until_counted("messages_parked", 31, reason="not_json")
    told = [(line["reason"], line["suppressed"]) for line in logs if line["event"] == "parked"]
    assert [suppressed for reason, suppressed in told if reason == "not_json"] == [0, 29]
    assert [line["detail"] for line in logs if line["event"] == "alarm"] == ["loud", "also loud"]


async def test_what_clients_cause_does_not_keep_the_same_of_our_own_out_of_the_log(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_throttle, "KIND_AGAIN_AFTER_SECONDS", 3_600.0)
    with capture_logs() as logs:
        async with station.running():
            await station.publish("bought", b"{1")
            await station.until_count("parked", 1)
            await station.publish("bought", b"{2", MANY_DOCUMENTS)
            await station.until_count("parked", 2)
    assert [line["reason"] for line in logs if line["event"] == "parked"] == ["not_json"] * 2
