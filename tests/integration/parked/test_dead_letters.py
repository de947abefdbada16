"""What the broker gave up is parked, document by document, however long that takes."""

from uuid import uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from messages.transport import dead_letters, parked
from messages.transport.addresses import DEAD_LETTERS, REQUESTS, Address
from messages.transport.broker import MANY_DOCUMENTS, ONE_DOCUMENT, Envelope
from messages.transport.handled import Outgoing
from messages.transport.in_process.broker import InProcessBroker
from messages.transport.incoming import Malformed
from messages.transport.provenance import Death
from messages.transport.topology import Topology
from tests.integration.parked.replays import request_all
from tests.integration.toy.service import Forwarded, bought
from tests.integration.toy.station import Station, document


async def test_what_the_broker_gave_up_is_parked_document_by_document(station: Station) -> None:
    dead = [bought("a"), bought("b")]
    lines = b"\n".join([*(document(message) for message in dead), b"\xff"])
    await give_up(station, lines, MANY_DOCUMENTS)
    blamed: list[str] = []

    def blame(document: Malformed) -> list[Outgoing]:
        blamed.append(document.reason)
        return []

    station.toy.rejecting = blame
    async with station.running():
        await station.until_count("parked", 3)
        await station.until_acknowledged("toy.dead")
    assert blamed == ["not_json"], "who sent what kills us is not to blame"
    rows = {row.order_id: (row.reason, row.queue) for row in await parked.parked(station.connection)}
    assert rows == {
        dead[0].order_id: ("dead_lettered", "toy.dead"),
        dead[1].order_id: ("dead_lettered", "toy.dead"),
        None: ("not_json", "toy.dead"),
    }


async def test_what_its_sender_let_expire_is_its_senders_and_can_be_replayed(station: Station) -> None:
    late, forged = bought("late"), Forwarded(order_id=uuid4(), text="forged")
    for message in (late, forged):
        letter = Envelope(Address(DEAD_LETTERS, "toy.dead"), document(message), "application/json", str(uuid4()))
        assert station.broker._exchanges.route(letter.to, letter, Death("expired", REQUESTS))
    blamed: list[str] = []

    def blame(document: Malformed) -> list[Outgoing]:
        blamed.append(document.reason)
        return []

    station.toy.rejecting = blame
    station.toy.handlers[Forwarded] = "paid"
    async with station.running():
        await station.until_count("parked", 2)
        rows = {row.order_id: (row.reason, row.from_outside) for row in await parked.parked(station.connection)}
        assert rows == {late.order_id: ("expired", True), forged.order_id: ("forbidden", True)}
        assert sorted(blamed) == ["expired", "forbidden"]
        await request_all(station.connection)
        await station.until_heard(1)
    assert await station.heard() == ["late"]


async def test_a_dead_letter_is_held_while_it_cannot_be_parked(
    own_station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "RETRY_SECONDS", 0.05)
    await _give_up_what_cannot_be_parked(own_station)
    async with own_station.running() as running:
        await own_station.say(bought("b"))
        await own_station.until_heard(1)
        await own_station.rows("ALTER TABLE parked DROP CONSTRAINT full_house")
        await own_station.until_count("parked", 1)
        await own_station.until_acknowledged("toy.dead")
        assert not running.task.done()


async def test_parking_a_dead_letter_is_not_tried_again_without_a_rest(
    own_station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "RETRY_SECONDS", 3_600.0)
    await _give_up_what_cannot_be_parked(own_station)
    with capture_logs() as logs:

        async def failed() -> bool:
            return "parking failed, retrying" in [line["event"] for line in logs]

        async with own_station.running():
            await own_station.until(failed)
            await own_station.say(bought("b"))
            await own_station.until_heard(1)
    assert [line["event"] for line in logs].count("parking failed, retrying") == 1


async def test_a_dead_letter_whose_connection_is_lost_while_it_is_parked_is_parked_again(station: Station) -> None:
    await give_up(station, document(bought("a")))
    broker = station.broker.beside()
    blocker = await asyncpg.connect(station.url)
    await blocker.execute("BEGIN; LOCK TABLE parked IN EXCLUSIVE MODE")
    async with station.running(broker):
        await station.until(station.somebody_waits)
        broker.break_connection()
        await blocker.execute("COMMIT")
        await station.until_count("parked WHERE times = 2", 1)
        await station.until_acknowledged("toy.dead")
    await blocker.close()


async def test_a_dead_letter_that_is_somebody_elses_once_it_is_parked_is_left_to_them(station: Station) -> None:
    """The connection was lost meanwhile, and the broker gave it to another process of the service."""
    await give_up(station, document(bought("a")))
    broker = station.broker.beside()
    blocker = await asyncpg.connect(station.url)
    await blocker.execute("BEGIN; LOCK TABLE parked IN EXCLUSIVE MODE")
    async with station.running(broker) as running:
        await station.until(station.somebody_waits)
        others = await station.client.subscribe("toy.dead", 10, lambda: None)
        broker.break_connection()
        assert len(others.arrived) == 1
        await blocker.execute("COMMIT")
        await station.until_count("parked", 1)
        await station.say(bought("b"))
        await station.until_heard(1)
        assert not running.task.done()
    await blocker.close()
    assert len(others.arrived) == 1


async def test_what_is_put_among_the_dead_letters_without_having_died_is_parked(station: Station) -> None:
    letter = Envelope(Address(DEAD_LETTERS, "toy.dead"), document(bought("a")), ONE_DOCUMENT, str(uuid4()))
    assert await station.client.publish([letter]) == [True]
    async with station.running():
        await station.until_count("parked", 1)
        await station.until_acknowledged("toy.dead")
    assert [(row.reason, row.from_outside) for row in await parked.parked(station.connection)] == [("forbidden", True)]


async def test_a_dead_envelope_larger_than_a_batch_is_parked_in_parts(station: Station) -> None:
    await give_up(station, b"\n".join(document(bought(str(number))) for number in range(1_201)), MANY_DOCUMENTS)
    async with station.running(batch_documents=500):
        await station.until_count("parked", 1_201)
    ((transactions,),) = await station.rows("SELECT count(DISTINCT xmin::text) FROM parked")
    assert transactions == 3


async def give_up(station: Station, body: bytes, content_type: str = "application/json") -> None:
    """Have a message lose its consumer until the broker gives it up."""
    await station.publish("bought", body, content_type)
    loser = InProcessBroker(Topology((), (), ()))
    loser._exchanges = station.broker._exchanges
    await loser.start()
    await loser.subscribe("toy.bought", 10, lambda: None)
    for _ in range(101):
        loser.break_connection()
    await loser.close()


async def _give_up_what_cannot_be_parked(station: Station) -> None:
    await station.rows("ALTER TABLE parked ADD CONSTRAINT full_house CHECK (reason = '')")
    await give_up(station, document(bought("a")))
