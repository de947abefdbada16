"""What suppliers report in bulk is handled beside the orders, and holds up none of them."""

import asyncio

from tests.end_to_end.market import Market
from tests.end_to_end.verdict import reasons

PACKETS = 100_000
ORDERS = 20
IMPORTED = "SELECT FROM published.received WHERE place = $1 AND received = $2"
LAST_IMPORTED = "SELECT max(received_at) FROM published.stock WHERE place = $1"
DECIDED = "SELECT decided_at FROM published.orders"


async def test_orders_are_placed_while_a_supplier_s_stock_is_imported(new_cell):
    cell = await new_cell()
    market = await cell.market(agents=ORDERS, milk=ORDERS)
    cell.markets.append(stock := Market.of(0, {"rice": PACKETS}))
    await asyncio.gather(*map(cell.client.say, stock.stocking()))
    outcomes = await asyncio.gather(*(cell.client.place(market.order(milk=1)) for _ in range(ORDERS)))
    assert reasons(outcomes) == {"placed": ORDERS}
    await cell.until_rows("store_worker", IMPORTED, stock.store_id, PACKETS)
    # By the clock of PostgreSQL, in whose databases both are: when we look is up to chance.
    ((last,),) = await cell.rows("store_worker", LAST_IMPORTED, stock.store_id)
    decided = [row["decided_at"] for row in await cell.rows("order_saga", DECIDED)]
    assert len(decided) == ORDERS
    assert max(decided) < last, "they had to wait until it was over"
