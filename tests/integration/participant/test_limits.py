"""No statement takes more rows than its limit, whatever the plan, and no batch more units than fit into memory."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from messages.contracts.message import Message
from messages.contracts.store import PacketsAssigned, PacketsReleased, PacketsReserved, StockReceived
from messages.participant import handling, queries
from messages.transport.faults import TooMuchAtOnce, is_infrastructure
from store_worker import queries as packets
from store_worker.retiring import BEFORE_ALL_SHELVES
from tests.integration.participant.reservations import expire_all, reserved_orders
from tests.integration.store_worker.messages import STORE, assign, release, reserve, stock
from tests.integration.workers import Worker, in_seconds

# Under the first, `DELETE .. WHERE order_id IN (SELECT .. LIMIT 3 FOR UPDATE SKIP LOCKED)` deletes everything.
PLANS = {
    "a nested loop that runs its inside again and again": "hashjoin mergejoin material memoize hashagg sort",
    "a hash join": "nestloop mergejoin",
    "a merge join": "nestloop hashjoin",
}


@pytest.mark.parametrize("without", PLANS.values(), ids=PLANS)
async def test_no_statement_takes_more_rows_than_its_limit_whatever_the_plan(store: Worker, without: str) -> None:
    await reserved_orders(store, 12)
    await expire_all(store)
    await store.hear(
        StockReceived(
            store_id=STORE, sku="bread", best_before=in_seconds(60), packet_ids=tuple(f"B-{n}" for n in range(12))
        )
    )
    async with store.database.transaction() as tx:
        for method in ("seqscan", "hashjoin", "mergejoin"):
            await tx.execute(f"SET LOCAL enable_{method} = on")
        for method in without.split():
            await tx.execute(f"SET LOCAL enable_{method} = off")
        assert len(await queries.lock_due(tx, 3)) == 3
        assert (await packets.retire(tx, 3_600, BEFORE_ALL_SHELVES, 10, 3)).packets == 3
        await tx.execute(
            "UPDATE reservation SET state = 'expired', reason = 'x', unit_ids = '{}', due_at = NULL, forget_at = now()"
        )
        assert len(await queries.prune(tx, 3, 20_000)) == 3
        assert await tx.fetchval("SELECT count(*) FROM reservation") == 9
        assert await tx.fetchval("SELECT count(*) FROM packet WHERE gone = 'past_best_before'") == 3


async def test_a_batch_about_too_many_units_is_left_to_be_halved(
    store: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its error is none that a retry heals: then the consumer halves a batch until a document is alone."""
    monkeypatch.setattr(handling, "BATCH_UNITS", 5)
    await store.hear(stock("milk", *(f"M-{number}" for number in range(20))))
    orders = [uuid4() for _ in range(3)]

    for ask, answer in ((wanting(2), PacketsReserved), (assign, PacketsAssigned), (release, PacketsReleased)):
        with pytest.raises(TooMuchAtOnce) as refused:
            await store.hear(*map(ask, orders))
        assert not is_infrastructure(refused.value)
        assert [type(said) for said in await store.hear(*map(ask, orders[:2]))] == [answer] * 2
        assert [type(said) for said in await store.hear(*map(ask, orders[2:]))] == [answer]


async def test_a_single_order_may_have_more_units_than_a_batch(store: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handling, "BATCH_UNITS", 5)
    await store.hear(stock("milk", *(f"M-{number}" for number in range(20))))
    order_id = uuid4()

    said = [(await store.hear(message))[0] for message in (wanting(10)(order_id), assign(order_id), release(order_id))]

    assert [type(each) for each in said] == [PacketsReserved, PacketsAssigned, PacketsReleased]


def wanting(quantity: int) -> Callable[[UUID], Message]:
    return lambda order_id: reserve(order_id, milk=quantity)
