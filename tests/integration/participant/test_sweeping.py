"""Leases that are over are freed, by however many sweepers, and what has been due for longest comes first."""

import asyncio
from uuid import UUID

import pytest

from messages.contracts.store import PacketsRefused
from messages.participant import queries, sweeper
from messages.transport.database.transactions import locking
from tests.integration.participant.reservations import a_worker, expire_all, reserved_orders
from tests.integration.toy.waiting import PATIENCE_SECONDS
from tests.integration.workers import TRACE, Worker


async def test_leases_that_are_over_are_freed_and_the_orchestrator_hears_of_it(store: Worker) -> None:
    over, running = await reserved_orders(store, 2)
    await store.expire(over)

    assert await store.run("sweep") == [expired(over)]
    assert await store.holdings() == {over: "expired", running: "reserved"}
    assert sorted((await store.stock()).values()) == ["free", "reserved"]
    assert store.handled[-1].outgoing[0].traceparent == TRACE
    assert store.timeline[-1] == ("expired", "refused: reservation_expired")


async def test_a_sweep_goes_on_until_everything_is_swept(store: Worker) -> None:
    orders = await reserved_orders(store, 450)
    await expire_all(store)

    answers = await store.run("sweep")

    assert {answer.order_id for answer in answers} == set(orders)
    assert len(answers) == 450


async def test_many_sweepers_expire_each_reservation_once(store: Worker, url: str) -> None:
    orders = await reserved_orders(store, 30)
    await expire_all(store)
    others = [await a_worker(url) for _ in range(2)]

    said = await asyncio.gather(*(worker.run("sweep") for worker in (store, *others)))

    assert sorted(answer.order_id for answers in said for answer in answers if answer.order_id) == sorted(orders)
    assert set((await store.stock()).values()) == {"free"}
    for worker in others:
        await worker.stop()


async def test_what_somebody_has_locked_is_not_waited_for_when_it_is_due(store: Worker) -> None:
    locked, free = await reserved_orders(store, 2)
    await expire_all(store)

    async with store.database.transaction(locking("reservation", {locked})), asyncio.timeout(PATIENCE_SECONDS):
        assert await store.run("sweep") == [expired(free)]


async def test_what_has_been_due_for_longest_is_taken_first(store: Worker) -> None:
    orders = await reserved_orders(store, 3)
    for seconds, order in zip((1, 3, 2), orders, strict=True):
        await store.execute(
            "UPDATE reservation SET due_at = now() - make_interval(secs => $2) WHERE order_id = $1", order, seconds
        )

    async with store.database.transaction() as tx:
        await tx.execute("SET LOCAL enable_indexscan = off")  # or they come in this order whether asked for or not
        (first,) = await queries.lock_due(tx, 1)

    assert first["order_id"] == orders[1]


async def test_a_sweep_takes_fewer_reservations_at_once_that_hold_many_units(
    store: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "BATCH_UNITS", 2)
    orders = await reserved_orders(store, 5)
    await expire_all(store)

    answers = await store.run("sweep")

    assert [len(handled.outgoing) for handled in store.handled[-3:]] == [2, 2, 1]
    assert {answer.order_id for answer in answers} == set(orders)


def expired(order_id: UUID) -> PacketsRefused:
    return PacketsRefused(order_id=order_id, reason="reservation_expired")
