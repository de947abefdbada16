"""What comes after the lease or past its time is refused, and takes nothing from the next holder."""

from uuid import UUID, uuid4

from tests.integration.store_worker.messages import assign, refused, reserve, stock
from tests.integration.workers import Worker


async def test_assign_after_expiry_is_refused_and_frees_at_once_though_nobody_has_swept(
    store: Worker, order: UUID
) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1))
    await store.expire(order)

    assert await store.hear(assign(order)) == [refused(order, "reservation_expired")]
    assert await store.stock() == {"M-1": "free"}
    assert (await store.holding(order))["state"] == "expired"


async def test_assign_after_the_sweep_leaves_the_next_holder_alone(store: Worker, order: UUID) -> None:
    other = uuid4()
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1))
    await store.expire(order)
    await store.run("sweep")
    await store.hear(reserve(other, milk=1))

    assert await store.hear(assign(order)) == [refused(order, "reservation_expired")]
    assert (await store.holding(other))["unit_ids"] == ["M-1"]


async def test_a_reserve_past_its_time_is_refused(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))

    late = reserve(order, not_after=-1, milk=1)

    assert await store.hear(late) == [refused(order, "command_too_late")]
    assert await store.stock() == {"M-1": "free"}


async def test_an_assign_past_its_time_is_refused_for_good_and_frees(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1))

    assert await store.hear(assign(order, not_after=-1)) == [refused(order, "command_too_late")]
    assert await store.stock() == {"M-1": "free"}
    assert await store.hear(assign(order)) == [refused(order, "command_too_late")]
