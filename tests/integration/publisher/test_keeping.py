"""What is to be said is kept in the transaction that decided it, and said after its commit."""

import asyncpg

from tests.integration.publisher.moody import Moody
from tests.integration.toy.service import TELL_ELSEWHERE, bought
from tests.integration.toy.station import Station
from tests.integration.toy.waiting import until


async def test_what_is_to_be_said_is_kept_in_the_transaction_that_decided_it(station: Station, moody: Moody) -> None:
    moody.down = True
    async with station.running(moody, drain_seconds=0.1, relay_after_seconds=3_600.0):
        await station.say(bought("a", TELL_ELSEWHERE))
        await station.until_count("outbox", 2)
    rows = await station.rows(
        "SELECT exchange, key, documents, o.xmin::text = transaction AS same,"
        " publish_after - clock_timestamp() > '50 min' AS later FROM outbox o, heard ORDER BY exchange"
    )
    assert [tuple(row) for row in rows] == [
        ("commands", "elsewhere", 1, True, True),
        ("outcomes", "counted", 1, True, True),
    ]


async def test_nothing_is_said_before_the_commit(station: Station, moody: Moody) -> None:
    blocker = await asyncpg.connect(station.url)
    await blocker.execute("BEGIN; LOCK TABLE timeline IN EXCLUSIVE MODE")
    async with station.running(moody):
        await station.say(bought("a"))
        await until(station.somebody_waits)
        assert moody.calls == []
        await blocker.execute("COMMIT")
        await station.until_told(1)
    await blocker.close()


async def test_what_fails_at_the_commit_is_never_said(own_station: Station) -> None:
    await own_station.rows(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'too late'; END $$"
    )
    await own_station.rows(
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON heard DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW WHEN (NEW.text = 'bad') EXECUTE FUNCTION refuse()"
    )
    async with own_station.running():
        await own_station.say(bought("bad"), bought("good"))
        await own_station.until_count("parked", 1)
        await own_station.until_told(1)
    assert own_station.texts() == ["good"]
    assert await own_station.heard() == ["good"]
