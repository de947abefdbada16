"""What could not be said is said once the broker, or the queue that was missing, is back."""

import json

import pytest
from structlog.testing import capture_logs

from messages.transport import log_throttle
from messages.transport.topology import Binding, Queue, Topology
from tests.integration.publisher.moody import Moody
from tests.integration.toy.service import ELSEWHERE, TELL_ELSEWHERE, bought
from tests.integration.toy.station import Station
from tests.integration.toy.waiting import true, until


async def test_what_could_not_be_said_is_said_once_the_broker_is_back(station: Station, moody: Moody) -> None:
    moody.down = True
    async with station.running(moody):
        for number in range(5):
            await station.say(bought(str(number), TELL_ELSEWHERE))
            await station.until_heard(number + 1)
        await until(lambda: true(len(moody.calls) > 10))
        assert station.texts() == []
        moody.down = False
        await station.until_told(5)
        await station.until_count("outbox", 0)
    assert sorted(station.texts()) == ["0", "1", "2", "3", "4"]
    assert len(await station.left_in("elsewhere")) == 5


async def test_one_queue_that_is_missing_holds_up_nobody_else(station: Station) -> None:
    station.broker.delete(ELSEWHERE.key)
    async with station.running():
        await station.say(bought("a", TELL_ELSEWHERE), bought("b"))
        await station.until_told(2)
        await station.until_count("outbox", 1)
        station.broker.declare(
            Topology((), (Queue(ELSEWHERE.key, {}),), (Binding(ELSEWHERE.exchange, ELSEWHERE.key, ELSEWHERE.key),))
        )
        await station.until_count("outbox", 0)
    assert [json.loads(body)["text"] for body in await station.left_in("elsewhere")] == ["a"]


async def test_a_broker_that_confirms_nothing_does_not_flood_the_log(
    station: Station, moody: Moody, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_throttle, "KIND_AGAIN_AFTER_SECONDS", 3_600.0)
    moody.down = True
    with capture_logs() as logs:
        async with station.running(moody, batch_documents=1):
            await station.say(*(bought(str(number)) for number in range(20)))
            await station.until_heard(20)

            async def published_often() -> bool:
                return len(moody.calls) > 60

            await until(published_often)
            moody.down = False
    told = [line for line in logs if line["event"] == "not confirmed, publishing again"]
    kinds = [(line["log_level"], *line["addresses"]) for line in told]
    assert len(kinds) == len(set(kinds)) > 1
    assert len({line["log_level"] for line in told}) == 2
