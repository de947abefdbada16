"""What is acknowledged was committed, and what was not is delivered again."""

import pytest

from messages.transport.batches import acknowledging
from tests.integration.consumer.watched_broker import WatchedBroker
from tests.integration.toy.faults import lose_three_times, raising_in_postgres
from tests.integration.toy.service import bought, numbered
from tests.integration.toy.station import Station


async def test_nothing_is_acknowledged_before_it_is_committed(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acknowledging, "MAX_UNACKNOWLEDGED", 1)
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


async def test_what_comes_for_the_fourth_time_is_handled_alone(station: Station) -> None:
    await station.say(*numbered(3))
    await lose_three_times(station, "toy.bought")
    await station.say(bought("new"))
    async with station.running():
        await station.until_heard(4)
    assert await station.batches() == [["0"], ["1"], ["2"], ["new"]]


async def _at_least(station: Station, number: int) -> bool:
    return await station.count("heard") >= number
