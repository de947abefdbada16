"""Many orders for few packets and agents: each of these is sold exactly once, to the last one."""

import asyncio
from collections import Counter

from tests.end_to_end.load import ROUND_ROBIN
from tests.end_to_end.verdict import reasons


async def test_of_two_orders_for_the_last_packet_one_is_placed_and_the_other_is_told(new_cell):
    cell = await new_cell(of_each=2, **ROUND_ROBIN)
    skus = [f"sku-{n}" for n in range(20)]
    market = await cell.market(agents=40, **dict.fromkeys(skus, 1))
    pairs = [[market.order(**{sku: 1}) for _ in range(2)] for sku in skus]
    outcomes = await asyncio.gather(*(asyncio.gather(*map(cell.client.place, pair)) for pair in pairs))
    assert [reasons(pair) for pair in outcomes] == [Counter(placed=1, out_of_stock=1)] * len(skus)


async def test_five_hundred_orders_at_once_for_fifty_packets_and_forty_agents_place_forty(shop):
    market = await shop.market(agents=40, milk=50)
    outcomes = await asyncio.gather(*(shop.client.place(market.order(milk=1)) for _ in range(500)))
    counted = reasons(outcomes)
    assert counted["placed"] == 40
    # Whom both refuse hears of the one who was faster; ten had their packets, and no agent.
    assert counted.keys() <= {"placed", "out_of_stock", "no_agent"}
    assert counted["no_agent"] >= 10
    free = "SELECT unit_id FROM published.stock WHERE place = $1 AND state = 'free'"
    await shop.until_rows("store_worker", free, market.store_id, number=10)


async def test_two_daemons_of_each_share_a_load_and_refuse_nothing_that_is_there(new_cell):
    cell = await new_cell(of_each=2, **ROUND_ROBIN)
    market = await cell.market(agents=500, milk=500, bread=500)
    outcomes = []
    # A few at a time, and then all that is left at once: how many envelopes share a burst is up to chance.
    for orders in (*[10] * 10, 400):
        outcomes += await asyncio.gather(*(cell.client.place(market.order(milk=1, bread=1)) for _ in range(orders)))
    assert reasons(outcomes) == Counter(placed=500)
    for daemon in cell.daemons:
        assert await daemon.counted("messages_received") > 50, f"{daemon.log.stem} had nothing to do"
