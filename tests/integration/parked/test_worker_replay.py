"""What a worker could not handle, handled again on request, with its reservations: all of it or nothing."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from messages.contracts.message import Message
from messages.contracts.store import ReservePackets, StockReceived, Want
from messages.transport import parked
from messages.transport.document import Reader
from messages.transport.incoming import Malformed
from messages.transport.replay import Replay
from store_worker.service import service
from store_worker.settings import Settings
from tests.conftest import NewDatabase
from tests.integration.parked.replays import request_all
from tests.integration.toy.station import document
from tests.integration.workers import Worker, in_seconds

STORE = "berlin-1"
SETTINGS = Settings(database_url="postgresql://elsewhere/")


@pytest.fixture
async def store(new_database: NewDatabase) -> AsyncIterator[Worker]:
    worker = await Worker.start(service(SETTINGS), await new_database(*service(SETTINGS).migrations))
    yield worker
    await worker.stop()


def stock(*packet_ids: str) -> StockReceived:
    return StockReceived(store_id=STORE, sku="milk", best_before=in_seconds(864_000), packet_ids=packet_ids)


def reserve() -> ReservePackets:
    wants = (Want(sku="milk", quantity=1),)
    return ReservePackets(order_id=uuid4(), store_id=STORE, wants=wants, lease_seconds=60, not_after=in_seconds(60))


async def replay(store: Worker, message: Message) -> None:
    """Park it, and replay it."""
    bad = Malformed(document(message), uuid4(), parked.HANDLER_FAILED, "before", queue="store_worker.reserve")
    async with store.database.transaction() as tx:
        await parked.park(tx, [bad])
        await request_all(tx)
    assert (await store.transactor().run(Replay(store.service, Reader(store.service.handlers)).next)).more


async def still_parked(store: Worker) -> list[tuple[str, str]]:
    async with store.database.transaction() as tx:
        return [(row.reason, row.detail) for row in await parked.parked(tx)]


async def test_what_was_parked_is_reserved_and_its_row_is_gone(store: Worker) -> None:
    await store.hear(stock("M-1"))
    wanted = reserve()

    await replay(store, wanted)

    assert await store.holdings() == {wanted.order_id: "reserved"}
    assert await store.stock() == {"M-1": "reserved"}
    assert await still_parked(store) == []


async def test_what_the_database_refuses_to_write_stays_parked(store: Worker) -> None:
    await store.hear(stock("M-1"))
    await store.execute("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON reservation FOR EACH ROW EXECUTE FUNCTION refuse();
    """)

    await replay(store, reserve())

    assert await still_parked(store) == [(parked.HANDLER_FAILED, "RaiseError: not today")]
    assert await store.stock() == {"M-1": "free"}


async def test_what_is_about_no_order_locks_none(store: Worker) -> None:
    await replay(store, stock("M-1"))

    assert await store.stock() == {"M-1": "free"}
    assert await still_parked(store) == []
