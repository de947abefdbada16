"""An order's story at the store, from reserved to pruned, message by message or in one batch."""

import asyncio
from uuid import UUID, uuid4

from messages.contracts.message import Message
from messages.contracts.order import DeliveryCompleted
from messages.contracts.store import PacketsAssigned, PacketsReleased, PacketsReserved
from tests.integration.store_worker.messages import assign, placed, refused, release, reserve, stock
from tests.integration.toy.waiting import PATIENCE_SECONDS
from tests.integration.workers import Worker, heard


async def test_an_order_goes_from_reserved_to_fulfilled(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1))

    assert await store.hear(assign(order)) == [PacketsAssigned(order_id=order, packet_ids=("M-1",))]
    assert await store.stock() == {"M-1": "assigned"}
    assert await store.hear(placed(order, "M-1")) == []
    assert await store.stock() == {"M-1": "confirmed"}
    assert await store.hear(DeliveryCompleted(order_id=order)) == []
    assert await store.stock() == {"M-1": "fulfilled"}
    assert store.alarms == []


async def test_a_whole_life_in_one_batch(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))

    answers = await store.hear(
        reserve(order, milk=1), assign(order), placed(order, "M-1"), DeliveryCompleted(order_id=order)
    )

    assert answers == [PacketsReserved(order_id=order), PacketsAssigned(order_id=order, packet_ids=("M-1",))]
    assert await store.stock() == {"M-1": "fulfilled"}


async def test_reserved_and_released_in_one_batch_leaves_the_shelf_as_it_was(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))

    answers = await store.hear(reserve(order, milk=1), release(order))

    assert answers == [PacketsReserved(order_id=order), PacketsReleased(order_id=order)]
    assert await store.stock() == {"M-1": "free"}


async def test_a_delivery_completed_early_is_remembered(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1), assign(order))
    await store.hear(DeliveryCompleted(order_id=order))

    assert await store.stock() == {"M-1": "assigned"}
    await store.hear(placed(order, "M-1"))
    assert await store.stock() == {"M-1": "fulfilled"}


async def test_what_is_assigned_is_remembered_as_delivered_though_its_lease_would_be_over(
    store: Worker, order: UUID
) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1), assign(order))
    await store.expire(order)

    await asyncio.wait_for(store.hear(DeliveryCompleted(order_id=order)), PATIENCE_SECONDS)
    await store.hear(placed(order, "M-1"))
    assert await store.stock() == {"M-1": "fulfilled"}


async def test_what_is_said_carries_its_cause(store: Worker, order: UUID) -> None:
    document = heard(release(order))
    await store.hear_documents([document])

    (said,) = store.handled[-1].outgoing
    assert said.cause is document
    assert said.to.key == "order_saga.answers"


async def test_the_story_tells_what_changed_and_not_what_was_repeated(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))
    messages: list[Message] = [reserve(order, milk=1), assign(order), placed(order, "M-1")]
    for message in messages:
        await store.hear(message)
        await store.hear(message)

    assert store.timeline == [
        ("ReservePackets", "reserved M-1"),
        ("AssignPackets", "assigned M-1"),
        ("OrderPlaced", "confirmed"),
    ]


async def test_fulfilled_reservations_are_pruned_and_their_packets_stay_accounted_for(
    store: Worker, order: UUID
) -> None:
    kept = uuid4()
    await store.hear(stock("milk", "M-1", "M-2"))
    await store.hear(reserve(order, milk=1), assign(order), placed(order, "M-1"), DeliveryCompleted(order_id=order))
    await store.hear(reserve(kept, milk=1), assign(kept), placed(kept, "M-2"))
    await store.execute("UPDATE reservation SET forget_at = forget_at - interval '2 days'")

    await store.run("prune")

    assert await store.holdings() == {kept: "confirmed"}
    assert await store.stock() == {"M-1": "fulfilled", "M-2": "confirmed"}
    assert await store.hear(assign(order)) == [refused(order, "never_reserved")]
