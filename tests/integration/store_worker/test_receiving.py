"""Goods are received once, before orders are answered, under ids that are never used again."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

import store_worker.goods
from messages.contracts.store import PACKET_WITHDRAWN, PacketsReserved, StockReceived
from messages.transport.database.lock_mode import LockMode
from messages.transport.database.transactions import Transaction
from tests.integration.store_worker.messages import STORE, assign, refused, reserve, stock, withdraw
from tests.integration.workers import Worker, heard


async def test_stock_is_received_once(store: Worker, order: UUID) -> None:
    received = stock("milk", "M-1", "M-2")
    await store.hear(received, received)
    await store.hear(reserve(order, milk=2))
    await store.hear(received)

    assert await store.stock() == {"M-1": "reserved", "M-2": "reserved"}
    # Nothing writes `pruned`, and nothing reads it but the audit of the release before.
    assert await store.query("SELECT * FROM published.received") == [
        {"place": STORE, "kind": "milk", "received": 2, "pruned": 0}
    ]


async def test_goods_may_mention_an_order(store: Worker, order: UUID) -> None:
    received = stock("milk", "M-1").model_copy(update={"order_id": order})

    assert await store.hear(received) == []
    assert await store.stock() == {"M-1": "free"}


async def test_goods_are_handled_in_a_transaction_even_where_they_mention_an_order(
    store: Worker, order: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[bool] = []

    receive = store_worker.goods.receive

    async def watched(tx: Transaction, received: Sequence[StockReceived]) -> list[tuple[str, int]]:
        modes.append(tx.is_in_transaction())
        return await receive(tx, received)

    monkeypatch.setattr(store_worker.goods, "receive", watched)
    received = stock("milk", "M-1").model_copy(update={"order_id": order})

    await store.transactor().handle([heard(received)], lock_mode=LockMode.OPTIMISTIC)

    assert modes == [True]
    assert await store.stock() == {"M-1": "free"}


async def test_in_one_batch_goods_come_and_go_before_orders_are_answered_and_all_of_it_is_told(
    store: Worker, order: UUID
) -> None:
    following = uuid4()
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1), assign(order))

    answers = await store.hear(reserve(following, bread=1), stock("bread", "B-1"), withdraw("M-1"))

    assert answers == [PacketsReserved(order_id=following), refused(order, PACKET_WITHDRAWN)]
    assert store.timeline[-2:] == [
        ("ReservePackets", "reserved B-1"),
        ("PacketsWithdrawn", "M-1 withdrawn while assigned"),
    ]


@pytest.mark.parametrize("together", [False, True])
async def test_a_packet_id_is_used_once_for_ever(store: Worker, order: UUID, together: bool) -> None:
    milk, bread = heard(stock("milk", "M-1")), heard(stock("bread", "M-1"))
    for documents in [[milk, bread, milk]] if together else [[milk], [bread, milk]]:
        await store.hear_documents(documents)

    assert [(alarm.name, alarm.cause) for alarm in store.handled[-1].alarms] == [("packet_id_reused", bread)]
    assert await store.hear(reserve(order, bread=1)) == [refused(order, "unknown_sku")]


@pytest.mark.parametrize("together", [False, True])
async def test_a_packet_id_is_not_used_again_by_another_store_either(store: Worker, together: bool) -> None:
    here, there = stock("milk", "M-1"), stock("milk", "M-1").model_copy(update={"store_id": "hamburg-1"})
    for messages in [[here, there]] if together else [[here], [there]]:
        await store.hear(*messages)

    assert store.alarms == ["packet_id_reused"]
    assert [row["place"] for row in await store.query("SELECT place FROM published.stock")] == [STORE]
