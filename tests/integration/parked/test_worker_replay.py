"""What a worker could not handle, handled again on request, with its reservations: all of it or nothing."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from messages.contracts.message import Message
from messages.contracts.store import ReleasePackets, ReservePackets, StockReceived, Want
from messages.transport import parked
from messages.transport.database.transactions import Transaction
from messages.transport.document import Reader
from messages.transport.incoming import Malformed
from messages.transport.parked import Parked
from messages.transport.replay import ADVISORY_LOCK, Replay
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


async def replay(store: Worker, *messages: Message) -> None:
    """Park them, and replay them."""
    bad = [Malformed(document(each), uuid4(), parked.HANDLER_FAILED, "before", queue="any") for each in messages]
    async with store.database.transaction() as tx:
        for each in bad:
            await parked.park(tx, [each])
        await request_all(tx)
    run, transactor = Replay(store.service, Reader(store.service.handlers)).next, store.transactor()
    while (await transactor.run(run)).more:
        pass


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


async def test_no_more_are_taken_than_a_batch_had_before_another_kind_came(
    store: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[int] = []
    take = parked.take_for_replay

    async def noted(tx: Transaction, limit: int, size_bytes: int) -> list[Parked]:
        limits.append(limit)
        return await take(tx, limit, size_bytes)

    monkeypatch.setattr(parked, "take_for_replay", noted)
    await replay(store, *(message for number in range(4) for message in (stock(f"M-{number}"), reserve())))
    assert max(limits[1:]) == 2
    assert set((await store.stock()).values()) == {"reserved"}


async def test_what_another_process_replays_is_not_overtaken(store: Worker) -> None:
    async with store.database.transaction() as tx:
        await tx.execute(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
        await replay(store, stock("M-1"))
        assert await store.stock() == {}
    await replay(store)
    assert await store.stock() == {"M-1": "free"}


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


async def test_what_came_after_an_order_is_not_replayed_before_it(store: Worker) -> None:
    early, late = reserve(), reserve()

    await replay(store, early, stock("M-1"), late)

    assert await store.holdings() == {early.order_id: "refused", late.order_id: "reserved"}


async def test_what_is_given_back_is_there_for_the_next_order(store: Worker) -> None:
    await store.hear(stock("M-1"), first := reserve())
    second = reserve()

    await replay(store, ReleasePackets(order_id=first.order_id), second)

    assert await store.holdings() == {first.order_id: "released", second.order_id: "reserved"}
