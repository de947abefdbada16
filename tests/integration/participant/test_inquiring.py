"""The outcome of what is assigned for long is asked for, ever more seldom, and in the end with an alarm."""

import pytest

from messages.contracts.order import OrderPlaced
from messages.contracts.participation import OutcomeRequested
from messages.contracts.store import ReleasePackets
from tests.integration.participant.reservations import INQUIRY_AFTER_SECONDS, let_pass, reserved_orders
from tests.integration.store_worker.messages import assign
from tests.integration.workers import Worker


async def test_the_outcome_of_what_is_assigned_for_long_is_asked_for(store: Worker) -> None:
    (order,) = await reserved_orders(store, 1)
    await store.hear(assign(order))
    inquiry = OutcomeRequested(order_id=order, participant="store")

    assert await store.run("sweep") == []
    await let_pass(store, INQUIRY_AFTER_SECONDS)
    assert await store.run("sweep") == [inquiry]
    assert store.timeline[-1] == ("unconfirmed", "asked for the order's outcome")
    assert await store.run("sweep") == []
    await let_pass(store, INQUIRY_AFTER_SECONDS)
    assert await store.run("sweep") == [inquiry]
    await let_pass(store, INQUIRY_AFTER_SECONDS)
    assert await store.run("sweep") == [], "the second pause is longer than the first"
    await let_pass(store, INQUIRY_AFTER_SECONDS)
    assert await store.run("sweep") == [inquiry]
    assert await store.stock() == {"M-0": "assigned"}


async def test_asking_in_vain_raises_an_alarm(store: Worker) -> None:
    (order,) = await reserved_orders(store, 1)
    await store.hear(assign(order))
    for _ in range(3):
        await let_pass(store, 10_000)
        assert len(await store.run("sweep")) == 1

    assert store.alarms == []
    for number in (1, 2):
        await let_pass(store, 10_000)
        await store.run("sweep")
        assert store.alarms == ["outcome_unknown"] * number


@pytest.mark.parametrize("settled_by", ["placed", "released"])
async def test_what_is_settled_is_not_asked_for(store: Worker, settled_by: str) -> None:
    (order,) = await reserved_orders(store, 1)
    await store.hear(assign(order))
    placed = OrderPlaced(order_id=order, packet_ids=("M-0",), agent_id="A-1")
    await store.hear(placed if settled_by == "placed" else ReleasePackets(order_id=order))
    await let_pass(store, 10_000)

    assert await store.run("sweep") == []
