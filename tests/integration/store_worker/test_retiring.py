"""Packets too near their best-before are retired, each run from where the last one stopped."""

from uuid import uuid4

import pytest

from store_worker import retiring
from tests.integration.store_worker.messages import stock
from tests.integration.workers import Worker


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
