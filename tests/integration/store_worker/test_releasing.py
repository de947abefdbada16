"""What is released is free again, unless the order was placed, and an order gives back only what is its own."""

from uuid import UUID, uuid4

import pytest

from messages.contracts.store import PacketsReleased
from messages.participant.participant import Moves
from messages.transport.database.writing import write
from store_worker.units import Packets
from tests.integration.store_worker.messages import assign, placed, refused, release, reserve, stock
from tests.integration.workers import Worker


@pytest.mark.parametrize("assigned", [False, True])
async def test_release_frees_reserved_and_assigned_packets(store: Worker, order: UUID, assigned: bool) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1), *([assign(order)] if assigned else []))

    assert await store.hear(release(order)) == [PacketsReleased(order_id=order)]
    assert await store.stock() == {"M-1": "free"}
    assert await store.hear(assign(order)) == [refused(order, "released")]
    assert await store.hear(reserve(order, milk=1)) == [refused(order, "released")]


async def test_release_before_reserve_leaves_a_tombstone(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))

    assert await store.hear(release(order)) == [PacketsReleased(order_id=order)]
    assert await store.hear(reserve(order, milk=1)) == [refused(order, "released")]
    assert await store.stock() == {"M-1": "free"}


async def test_release_of_a_placed_order_keeps_the_packets_and_raises_an_alarm(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1), assign(order), placed(order, "M-1"))

    assert await store.hear(release(order)) == []
    assert await store.stock() == {"M-1": "confirmed"}
    assert store.alarms == ["release_of_confirmed"]


async def test_an_order_can_give_back_only_what_is_its_own(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1))

    async with store.database.transaction() as tx:
        await write(tx, [*Packets(3_600).move(Moves(given_back=[("M-1", uuid4())]))])

    assert await store.stock() == {"M-1": "reserved"}
