"""Rows that were confirmed are deleted with the next batch, or soon after the last."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from messages.transport.batches.transactor import Transactor
from messages.transport.daemon import jobs
from messages.transport.daemon.housekeeping import delete_the_last
from messages.transport.database.postgres import Database
from messages.transport.database.transactions import Transaction
from messages.transport.document import Reader
from messages.transport.handled import Handled
from messages.transport.incoming import Incoming
from messages.transport.metrics import Metrics
from messages.transport.publisher import OutboxPublisher
from tests.integration.network import Network
from tests.integration.publisher.moody import Moody
from tests.integration.toy.service import ELSEWHERE, FAIL, TELL_ELSEWHERE, Bought, Toy, bought
from tests.integration.toy.station import Station, document
from tests.integration.toy.waiting import true, until


class Desk:
    """A transactor without a process around it: nothing happens but what a test does."""

    def __init__(self, station: Station, broker: Moody) -> None:
        self.toy = Toy()
        self.database = Database(station.url)
        self.publisher = OutboxPublisher(broker, 64)
        self.transactor = Transactor(self.toy.service(), self.database, self.publisher, Metrics(), 15.0)

    async def hear(self, message: Bought) -> None:
        read = Reader([Bought]).read(document(message))
        assert isinstance(read, Incoming)
        await self.transactor.handle([read])

    async def confirmed(self) -> None:
        await until(lambda: true(not self.publisher._unconfirmed))


@pytest.fixture
async def desk(station: Station, moody: Moody) -> AsyncIterator[Desk]:
    desk = Desk(station, moody)
    await desk.database.open()
    await moody.start()
    yield desk
    await desk.publisher.abandon()
    await moody.close()
    await desk.database.close()


async def test_a_confirmed_row_is_deleted_with_the_next_batch(station: Station, desk: Desk) -> None:
    await desk.hear(bought("a"))
    await desk.confirmed()
    ((first,),) = await station.rows("SELECT id FROM outbox")
    await desk.hear(bought("b"))
    ((second,),) = await station.rows("SELECT id FROM outbox")
    assert second != first


async def test_a_batch_that_failed_leaves_confirmed_rows_to_the_next(station: Station, desk: Desk) -> None:
    await desk.hear(bought("a"))
    await desk.confirmed()
    with pytest.raises(ValueError, match="cannot handle"):
        await desk.hear(bought("b", FAIL))
    assert await station.count("outbox") == 1
    await desk.hear(bought("c"))
    await desk.confirmed()
    await desk.transactor.run(_nothing)
    assert await station.count("outbox") == 0


async def test_a_batch_whose_commit_was_lost_gives_confirmed_rows_back(station: Station, desk: Desk) -> None:
    async def terminate(tx: Transaction) -> Handled:
        await tx.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return Handled()

    await desk.hear(bought("a"))
    await desk.confirmed()
    with pytest.raises(Exception, match=r"terminat|closed"):
        await desk.transactor.run(terminate)
    await desk.transactor.run(_nothing)
    assert await station.count("outbox") == 0


async def test_rows_in_one_offer_are_confirmed_one_by_one(station: Station, desk: Desk) -> None:
    station.broker.delete(ELSEWHERE.key)
    await desk.hear(bought("a", TELL_ELSEWHERE))
    await until(lambda: true(len(station.told.arrived) == 1))
    await desk.transactor.run(_nothing)
    ((key,),) = await station.rows("SELECT key FROM outbox")
    assert key == "elsewhere"
    assert len(station.told.arrived) == 1


async def test_when_it_is_idle_confirmed_rows_are_gone_within_seconds(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "FIRST_RUN_SECONDS", 0.0)
    async with station.running(relay_after_seconds=3_600.0) as running:
        for rare in ("measure", "rotate_partitions"):  # their transactions delete such rows too, and come first now
            await running.until_counted("job_runs", 1, job=rare, result="done")
        await station.say(bought("a"))
        await station.until_told(1)
        async with asyncio.timeout(10):  # long before it would be said again
            await station.until_count("outbox", 0)


async def _nothing(_tx: Transaction) -> Handled:
    return Handled()


async def test_a_silent_database_does_not_keep_a_process_from_ending(station: Station, moody: Moody) -> None:
    publisher = OutboxPublisher(moody, 64)
    publisher.give_back([1])
    async with Network(station.url) as network:
        database = Database(network.url)
        await database.open()
        network.freeze()
        with capture_logs() as logs:
            await asyncio.wait_for(delete_the_last(publisher, database), 20)
        await database.close()
    assert logs[-1]["event"] == "confirmed rows not deleted; the relay repeats them"
