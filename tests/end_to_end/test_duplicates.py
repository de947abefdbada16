"""Every message may come twice, at once or much later, and alone or among others."""

import asyncio
import json
import random
from functools import partial
from typing import Any

import asyncpg

from tests.end_to_end.cell import Cell
from tests.end_to_end.client import document
from tests.end_to_end.verdict import reasons, rest
from tests.end_to_end.waiting import until
from tests.end_to_end.wire import Wire, wire

ORDERS = "SELECT order_id AS key, * FROM published.orders"
HOLDINGS = "SELECT order_id AS key, * FROM published.holdings"
UNITS = "SELECT unit_id AS key, * FROM published.stock"
TABLES = {"order_saga": [ORDERS], "store_worker": [HOLDINGS, UNITS], "delivery_worker": [HOLDINGS, UNITS]}
TYPES = {
    "OrderRequested", "CancelOrder", "OrderPlaced", "OrderNotPlaced", "DeliveryCompleted", "StockReceived",
    "ReservePackets", "PacketsReserved", "AssignPackets", "PacketsAssigned", "ReleasePackets", "PacketsReleased",
    "ReserveAgent", "AgentReserved", "AssignAgent", "AgentAssigned", "ReleaseAgent", "AgentReleased",
    "PacketsRefused", "AgentRefused", "AgentCameOnline",
}  # fmt: skip


async def test_everything_said_twice_while_orders_are_placed_changes_no_outcome(new_cell):
    cell = await new_cell()
    market = await cell.market(agents=60, milk=60)
    async with wire(cell.broker_url) as parrot:
        await parrot.tap(echo=True)
        outcomes = await asyncio.gather(*(cell.client.place(market.order(milk=1)) for _ in range(60)))
        assert reasons(outcomes) == {"placed": 60}
        await rest(cell)
        await until(partial(all_was_said_again, parrot), "everything is said twice")
        assert len(parrot.tapped) > 60
    assert [daemon.told("batch failed, retrying") for daemon in cell.daemons] == [[], [], []]


async def test_everything_said_twice_more_and_in_any_order_changes_nothing(new_cell):
    cell = await new_cell()
    async with wire(cell.broker_url) as parrot:
        await parrot.tap()
        await all_sorts_of_orders(cell)
        await rest(cell)
        said = [each for spoken in parrot.tapped for each in spoken.documents()]
        assert {json.loads(each.body)["type"].partition("/")[0] for each in said} == TYPES
        before = await contents(cell)
        for each in random.Random(7).sample(said * 2, k=2 * len(said)):
            await parrot.publish(each)
    await the_queues_are_worked_off(cell)
    after = await contents(cell)
    assert {place: after[place] for place in before} == before
    assert [daemon.told("batch failed, retrying") for daemon in cell.daemons] == [[], [], []]


async def all_was_said_again(parrot: Wire) -> bool:
    return parrot.echoes == len(parrot.tapped)


async def all_sorts_of_orders(cell: Cell) -> None:
    """More than there are packets and agents for, some of them cancelled, some delivered."""
    market = await cell.market(agents=25, milk=30, bread=30)
    orders = [market.order(milk=1, bread=n % 2 + 1) for n in range(40)]
    placing = [asyncio.create_task(cell.client.place(order)) for order in orders]
    await asyncio.gather(*(cell.client.say(document("CancelOrder", order_id=each["order_id"])) for each in orders[::8]))
    placed = [outcome for outcome in await asyncio.gather(*placing) if outcome["type"] == "OrderPlaced"]
    assert 10 <= len(placed) <= 25
    for outcome in placed[::2]:
        await cell.client.say(document("DeliveryCompleted", order_id=outcome["order_id"]))
        await cell.until_held("store_worker", outcome["order_id"], "fulfilled")


async def the_queues_are_worked_off(cell: Cell) -> None:
    """One more order passes through every queue, behind all that waits there."""
    market = await cell.market(agents=1, milk=1)
    assert (await cell.client.place(market.order(milk=1)))["type"] == "OrderPlaced"
    await rest(cell)


async def contents(cell: Cell) -> dict[Any, asyncpg.Record]:
    """All that the services publish of orders, reservations and units, by service and key."""
    return {
        (service, row["key"]): row
        for service, tables in TABLES.items()
        for table in tables
        for row in await cell.rows(service, table)
    }
