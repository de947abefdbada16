"""Packets too near their best-before are retired, each run from where the last one stopped."""

import asyncio
from uuid import UUID, uuid4

import pytest

from messages.contracts.store import StockReceived
from store_worker import retiring
from tests.integration.store_worker.messages import reserve, stock
from tests.integration.workers import Worker, in_seconds

PATIENCE_SECONDS = 60.0


async def test_packets_too_near_their_best_before_are_retired(store: Worker) -> None:
    await store.hear(stock("milk", "M-old", best_before_days=0.01), stock("milk", "M-new"))

    await store.run("retire")

    assert await store.stock() == {"M-old": "retired", "M-new": "free"}
    assert await store.query("SELECT unit_id FROM published.stock WHERE withdrawn") == []


async def test_each_run_retires_from_where_the_last_one_stopped_and_at_the_end_from_the_start(
    store: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retiring, "BATCH", 3)
    monkeypatch.setattr(retiring, "SHELVES", 2)
    skus = ("a", "b", "c", "d", "e")
    for _ in range(2):
        seen = len(store.handled)
        await store.hear(*(stock(sku, f"{sku}-{uuid4()}", best_before_days=0.01) for sku in skus for _ in range(2)))
        await store.run("retire")
        assert [handled.more for handled in store.handled[seen + 1 :]] == [True] * 4 + [False]
    assert set((await store.stock()).values()) == {"retired"}


async def test_no_shelf_of_any_store_is_passed_over(store: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retiring, "SHELVES", 2)
    shelves = [("berlin", "z"), ("hamburg", "b"), ("hamburg", "y"), ("munich", "a"), ("munich", "x")]
    for store_id, sku in shelves:
        packet_ids = (f"{store_id}-{sku}",)
        await store.hear(StockReceived(store_id=store_id, sku=sku, best_before=in_seconds(60), packet_ids=packet_ids))
    seen = len(store.handled)

    await store.run("retire")

    assert set((await store.stock()).values()) == {"retired"}
    assert [handled.more for handled in store.handled[seen:]] == [True, True, False]


async def test_what_an_order_has_or_is_about_to_take_is_left_to_it(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-held"), reserve(order, milk=1), stock("milk", "M-locked", "M-old"))
    await store.execute("UPDATE packet SET best_before = now()")

    async with store.database.transaction() as tx, asyncio.timeout(PATIENCE_SECONDS):
        await tx.execute("SELECT FROM packet WHERE packet_id = 'M-locked' FOR UPDATE")
        await store.run("retire")

    assert await store.stock() == {"M-held": "reserved", "M-locked": "free", "M-old": "retired"}
    assert await store.query("SELECT * FROM unfit") == []
