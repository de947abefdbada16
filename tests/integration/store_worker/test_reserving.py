"""Which packets an order gets: all that it wants or none, nearest best-before first, in the order of arrival."""

import asyncio
from uuid import UUID, uuid4

import pytest

from messages.contracts.store import PacketsRefused, PacketsReserved
from messages.participant import handling
from messages.participant.participant import Moves
from messages.transport.database.writing import write
from messages.transport.faults import Collision
from store_worker.units import Packets
from tests.integration.store_worker.messages import refused, reserve, stock
from tests.integration.toy.waiting import PATIENCE_SECONDS
from tests.integration.workers import Worker


async def test_a_reservation_holds_every_wanted_packet(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1", "M-2", "M-3"), stock("bread", "B-1"))

    answers = await store.hear(reserve(order, milk=2, bread=1))

    assert answers == [PacketsReserved(order_id=order)]
    assert await store.stock() == {"M-1": "reserved", "M-2": "reserved", "M-3": "free", "B-1": "reserved"}


async def test_a_reservation_of_many_packets_is_not_cached(
    store: Worker, order: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handling, "MOST_UNITS", 1)
    await store.hear(stock("milk", "M-1", "M-2", "M-3"))

    await store.hear(reserve(order, milk=2), reserve(small := uuid4(), milk=1))

    assert [after.order_id for _, after in store.handled[-1].changes] == [small]


async def test_all_lines_or_nothing(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"), stock("bread", "B-1"))

    assert await store.hear(reserve(order, milk=1, bread=2)) == [refused(order, "out_of_stock")]
    assert await store.stock() == {"M-1": "free", "B-1": "free"}


async def test_what_was_never_received_is_unknown(store: Worker, order: UUID) -> None:
    assert await store.hear(reserve(order, caviar=1)) == [refused(order, "unknown_sku")]


async def test_a_store_sells_only_what_is_its_own(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1").model_copy(update={"store_id": "hamburg-1"}))

    answers = await asyncio.wait_for(store.hear(reserve(order, milk=1)), PATIENCE_SECONDS)

    assert answers == [refused(order, "unknown_sku")]
    assert await store.stock() == {"M-1": "free"}


async def test_what_is_sold_out_is_not_unknown(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(uuid4(), milk=1))

    assert await store.hear(reserve(order, milk=1)) == [refused(order, "out_of_stock")]


async def test_nearest_best_before_goes_first(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-late", best_before_days=9), stock("milk", "M-soon", best_before_days=1))

    await store.hear(reserve(order, milk=1))

    assert (await store.holding(order))["unit_ids"] == ["M-soon"]


async def test_packets_too_near_their_best_before_are_not_sold(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-old", best_before_days=0.01))

    assert await store.hear(reserve(order, milk=1)) == [refused(order, "out_of_stock")]
    assert store.looked_again == 0, "they are not packets that others have locked either"


async def test_what_one_order_cannot_use_goes_to_the_next_of_the_batch(store: Worker) -> None:
    greedy, modest = uuid4(), uuid4()
    await store.hear(stock("milk", "M-1", "M-2"))

    answers = await store.hear(reserve(greedy, milk=3), reserve(modest, milk=2))

    assert answers == [refused(greedy, "out_of_stock"), PacketsReserved(order_id=modest)]


async def test_a_batch_is_served_in_order_of_arrival(store: Worker) -> None:
    orders = [uuid4() for _ in range(5)]
    await store.hear(stock("milk", "M-1", "M-2", "M-3"))

    answers = await store.hear(*(reserve(each, milk=1) for each in orders))

    assert [type(answer) for answer in answers] == [PacketsReserved] * 3 + [PacketsRefused] * 2


async def test_an_order_can_take_only_what_is_on_the_shelf(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1))

    with pytest.raises(Collision):
        async with store.database.transaction() as tx:
            await write(tx, [*Packets(3_600).move(Moves(taken=[("M-1", uuid4())]))])

    assert await store.stock() == {"M-1": "reserved"}
