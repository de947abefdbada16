"""Duplicates are answered alike, and change nothing."""

from uuid import UUID, uuid4

from messages.contracts.store import PacketsReleased, PacketsReserved
from tests.integration.store_worker.messages import assign, refused, release, reserve, stock
from tests.integration.workers import Worker


async def test_duplicates_are_answered_alike_and_change_nothing(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1", "M-2"))
    for message in (reserve(order, milk=1), assign(order)):
        first = await store.hear(message)
        stock_then = await store.stock()
        assert await store.hear(message, message) == first * 2
        assert await store.stock() == stock_then
    assert await store.hear(reserve(order, milk=1)) == [PacketsReserved(order_id=order)]
    assert await store.stock() == {"M-1": "assigned", "M-2": "free"}


async def test_duplicates_within_one_batch_hold_once(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1", "M-2"))

    answers = await store.hear(reserve(order, milk=1), reserve(order, milk=1))

    assert answers == [PacketsReserved(order_id=order)] * 2
    assert sorted((await store.stock()).values()) == ["free", "reserved"]


async def test_a_duplicate_release_does_not_free_what_another_order_holds_by_now(store: Worker, order: UUID) -> None:
    other = uuid4()
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1), release(order))
    await store.hear(reserve(other, milk=1))

    assert await store.hear(release(order)) == [PacketsReleased(order_id=order)]
    assert (await store.holding(other))["unit_ids"] == ["M-1"]
    assert await store.stock() == {"M-1": "reserved"}


async def test_a_duplicate_reserve_after_expiry_does_not_reserve_anew(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1))
    await store.expire(order)
    await store.run("sweep")

    assert await store.hear(reserve(order, milk=1)) == [refused(order, "reservation_expired")]
    assert await store.stock() == {"M-1": "free"}
