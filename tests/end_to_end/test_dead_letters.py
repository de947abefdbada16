"""What the broker dead-letters is not lost: it is parked."""

import asyncio

from tests.end_to_end.verdict import rest
from tests.end_to_end.wire import wire

DELIVERY_LIMIT = 100


async def test_a_message_that_the_broker_gave_up_is_parked_and_its_order_is_placed_all_the_same(new_cell):
    # Until the broker gives it up, a busy machine takes longer than an order may.
    cell = await new_cell(ORDER_SAGA_BUDGET_SECONDS="240", ORDER_SAGA_LEASE_SECONDS="270")
    market = await cell.market(agents=1, milk=1)
    order = market.order(milk=1)
    await cell.daemon("store_worker").kill()
    placing = asyncio.create_task(cell.client.place(order))
    async with wire(cell.broker_url) as hand:
        await hand.until_waiting("store_worker.reserve")
        taken = 0
        while not await hand.waiting("store_worker.dead"):
            taken += await hand.take_and_vanish("store_worker.reserve")
        assert taken >= DELIVERY_LIMIT
    await cell.daemon("store_worker").start()
    parked = "SELECT FROM published.parked WHERE reason = 'dead_lettered' AND type LIKE 'ReservePackets/1.%'"
    await cell.until_rows("store_worker", parked)
    assert (await placing)["type"] == "OrderPlaced"
    await rest(cell)
    code, output = await cell.command("order_saga", "audit", "--at-rest", "--json")
    assert code == 1
    assert "dead_lettered" in output
    await cell.discard_parked("store_worker")
