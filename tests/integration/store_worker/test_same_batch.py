"""What is given back can be had by who asks for it later in the same batch."""

import asyncio
from uuid import UUID, uuid4

import pytest

from messages.contracts.order import DeliveryCompleted
from messages.contracts.store import PacketsReleased, PacketsReserved
from messages.transport.database.lock_mode import LockMode
from tests.integration.store_worker.messages import assign, placed, refused, release, reserve, stock
from tests.integration.toy.waiting import PATIENCE_SECONDS
from tests.integration.workers import Worker, heard


@pytest.mark.parametrize(
    "lock_mode",
    [LockMode.OPTIMISTIC, LockMode.PESSIMISTIC],
    ids=lambda lock_mode: lock_mode.name.lower(),
)
async def test_what_is_given_back_can_be_had_by_who_asks_for_it_in_the_same_batch(
    store: Worker, order: UUID, lock_mode: LockMode
) -> None:
    next_one, late, too_much = uuid4(), uuid4(), uuid4()
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1))

    asking = [reserve(next_one, milk=1), reserve(late, milk=1), reserve(too_much, milk=9)]
    answers = await store.hear_documents([heard(message) for message in (release(order), *asking)], lock_mode)

    assert answers == [
        PacketsReleased(order_id=order),
        PacketsReserved(order_id=next_one),
        *(refused(late, "out_of_stock"), refused(too_much, "out_of_stock")),
    ]
    assert store.looked_again == 3


async def test_what_is_given_back_can_be_had_whatever_comes_between(store: Worker, order: UUID) -> None:
    between, next_one = uuid4(), uuid4()
    await store.hear(stock("milk", "M-1"), stock("bread", "B-1"))
    await store.hear(reserve(order, milk=1))

    answers = await store.hear(release(order), reserve(between, bread=1), reserve(next_one, milk=1))

    assert answers[1:] == [PacketsReserved(order_id=between), PacketsReserved(order_id=next_one)]


async def test_who_has_waited_does_not_look_again_at_what_is_given_back_in_the_same_batch(
    store: Worker, order: UUID
) -> None:
    late = uuid4()
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1))

    batch = [heard(release(order)), heard(reserve(late, milk=1))]
    answers = await asyncio.wait_for(store.hear_documents(batch, LockMode.BLOCKING), PATIENCE_SECONDS)

    assert answers == [PacketsReleased(order_id=order), refused(late, "out_of_stock")]


async def test_who_has_enough_on_the_shelf_does_not_look_at_what_is_given_back(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1", "M-2"))
    await store.hear(reserve(order, milk=1))

    await store.hear(release(order), reserve(uuid4(), milk=1))

    assert store.looked_again == 0


async def test_what_has_been_delivered_is_not_looked_for_again(store: Worker, order: UUID) -> None:
    late = uuid4()
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1), assign(order), placed(order, "M-1"))

    answers = await store.hear(DeliveryCompleted(order_id=order), reserve(late, milk=1))

    assert answers == [refused(late, "out_of_stock")]
    assert store.looked_again == 0


async def test_who_asks_before_it_is_given_back_is_refused(store: Worker, order: UUID) -> None:
    early = uuid4()
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1))

    answers = await store.hear(reserve(early, milk=1), release(order))

    assert answers == [refused(early, "out_of_stock"), PacketsReleased(order_id=order)]
    assert store.looked_again == 0
