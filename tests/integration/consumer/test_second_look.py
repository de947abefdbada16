"""What is to be looked at again is handled waiting, in a transaction of its own."""

from messages.transport.database.transactions import Transaction
from messages.transport.faults import Collision
from tests.integration.consumer.watched_broker import WatchedBroker
from tests.integration.toy.faults import raising
from tests.integration.toy.service import LOOK_AGAIN, NEVER_DECIDE, bought
from tests.integration.toy.station import Station


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
    assert running.process.metrics.registry.get_sample_value("ordersaga_batch_seconds_count") == 1


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
