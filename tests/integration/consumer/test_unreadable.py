"""A document that cannot be read is parked with its batch, and its sender is told."""

from messages.transport.broker import MANY_DOCUMENTS
from messages.transport.handled import Outgoing
from messages.transport.incoming import Malformed
from tests.integration.toy.service import FAIL, bought
from tests.integration.toy.station import Station, document

FORBID_PARKING = "ALTER TABLE parked ADD CONSTRAINT full_house CHECK (reason = '') NOT VALID"
ALLOW_PARKING = "ALTER TABLE parked DROP CONSTRAINT full_house"


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


async def _times(station: Station, times: int) -> bool:
    return bool(await station.rows("SELECT FROM parked WHERE times = $1", times))
