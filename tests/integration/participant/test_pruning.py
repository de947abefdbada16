"""What is over and old is pruned, in batches, and keeps no order waiting."""

import asyncio
from typing import Any

import pytest

from messages.contracts.order import DeliveryCompleted, OrderPlaced
from messages.contracts.store import ReleasePackets
from messages.participant import sweeper
from messages.transport.database.transactions import locking
from store_worker import retiring
from store_worker.service import service
from store_worker.settings import Settings
from tests.integration.participant.bad_rows import make_unreadable
from tests.integration.participant.reservations import reserved_orders
from tests.integration.store_worker.messages import assign
from tests.integration.toy.waiting import PATIENCE_SECONDS
from tests.integration.workers import Worker


async def test_a_row_that_cannot_be_read_is_pruned_like_any_other(store: Worker) -> None:
    bad, good = await reserved_orders(store, 2)
    await store.hear(ReleasePackets(order_id=good))
    await make_unreadable(store, bad)
    await store.execute("UPDATE reservation SET forget_at = now()")

    await store.run("prune")

    assert await store.holdings() == {}
    assert sorted((await store.stock()).values()) == ["free", "reserved"], "it is not known to be sold"


def test_neither_pruning_nor_retiring_keeps_an_order_waiting() -> None:
    jobs = service(Settings(database_url="postgresql://elsewhere/")).jobs
    assert [job.name for job in jobs if job.low_priority] == ["prune", "retire"]


def test_each_job_has_an_interval_of_its_own_and_a_sweep_is_spared_where_nothing_is_due() -> None:
    intervals = {"sweep": 1.0, "prune": 2.0, "retire": 3.0}
    settings: dict[str, Any] = {f"{name}_interval_seconds": seconds for name, seconds in intervals.items()}
    jobs = service(Settings(database_url="postgresql://elsewhere/", **settings)).jobs
    assert {job.name: job.interval_seconds for job in jobs} == intervals
    assert [job.name for job in jobs if job.due] == ["sweep"]


async def test_pruning_takes_fewer_reservations_at_once_that_have_many_units(
    store: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "BATCH_UNITS", 2)
    for order in await reserved_orders(store, 3):
        await store.hear(assign(order))
        await store.hear(OrderPlaced(order_id=order, packet_ids=("M-0",), agent_id="A-1"))
        await store.hear(DeliveryCompleted(order_id=order))
    await store.execute("UPDATE reservation SET forget_at = forget_at - interval '2 days'")
    seen = len(store.handled)

    await store.run("prune")

    assert [handled.more for handled in store.handled[seen:]] == [True, False]
    assert await store.holdings() == {}


async def test_there_is_more_to_prune_and_to_retire_while_not_all_has_been_seen(
    store: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "PRUNE_BATCH", 2)
    monkeypatch.setattr(retiring, "BATCH", 2)
    orders = await reserved_orders(store, 3)
    await store.hear(*(ReleasePackets(order_id=order) for order in orders))
    await store.execute("UPDATE reservation SET forget_at = forget_at - interval '2 days'")
    await store.execute("UPDATE packet SET best_before = now()")

    for job in ("prune", "retire"):
        seen = len(store.handled)
        await store.run(job)
        assert [handled.more for handled in store.handled[seen:]] == [True, False]


async def test_only_what_is_over_and_old_is_pruned(store: Worker) -> None:
    released, recent, assigned = await reserved_orders(store, 3)
    await store.hear(ReleasePackets(order_id=released), ReleasePackets(order_id=recent), assign(assigned))
    await store.execute(
        "UPDATE reservation SET forget_at = forget_at - interval '2 days' WHERE order_id = $1", released
    )

    await store.run("prune")

    assert await store.holdings() == {recent: "released", assigned: "assigned"}


async def test_what_somebody_has_locked_is_not_waited_for_when_it_is_to_be_pruned(store: Worker) -> None:
    locked, free = await reserved_orders(store, 2)
    await store.hear(ReleasePackets(order_id=locked), ReleasePackets(order_id=free))
    await store.execute("UPDATE reservation SET forget_at = now()")

    async with store.database.transaction(locking("reservation", {locked})), asyncio.timeout(PATIENCE_SECONDS):
        await store.run("prune")

    assert await store.holdings() == {locked: "released"}
