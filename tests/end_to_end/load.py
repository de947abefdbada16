"""Customers who keep ordering while something else goes on."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.end_to_end.cell import Cell
from tests.end_to_end.client import Document, document
from tests.end_to_end.market import Market
from tests.end_to_end.verdict import reasons
from tests.end_to_end.waiting import until

PRIORITIZED, ROUND_ROBIN = (
    {f"{service}_CONSUMERS": consumers for service in ("ORDER_SAGA", "STORE_WORKER", "DELIVERY_WORKER")}
    for consumers in ("prioritized", "round_robin")
)
ORDERS_PER_SECOND = 25.0
PATIENCE_SECONDS = 300.0


@dataclass
class Load:
    """The orders so far; when the load is over, each has its outcome."""

    placing: "list[asyncio.Task[Document]]" = field(default_factory=list)

    @property
    def outcomes(self) -> list[Document]:
        return [each.result() for each in self.placing if each.done() and not each.exception()]

    @property
    def placed(self) -> int:
        return sum(outcome["type"] == "OrderPlaced" for outcome in self.outcomes)

    def assert_useful(self, share: float, number: int) -> None:
        """There were that many orders at least, and that share of them was placed: who refuses all, breaks nothing."""
        counted = reasons(self.outcomes)
        assert counted.total() == len(self.placing), [each for each in self.placing if each.exception()]
        assert counted.total() >= number, counted
        assert counted["placed"] >= share * counted.total(), counted

    async def until_placed(self, number: int) -> None:
        """Wait until so many more orders are placed."""
        enough = self.placed + number

        async def are_placed() -> bool:
            return self.placed >= enough

        await until(are_placed, f"{number} more orders are placed; so far {reasons(self.outcomes)}")


@asynccontextmanager
async def load(cell: Cell) -> AsyncIterator[Load]:
    """Meanwhile orders come in, and what is placed is delivered. At the end, waits for every outcome."""
    market = await cell.market(agents=500, milk=1500, bread=1500)
    orders = Load()
    ordering = asyncio.create_task(_keep_ordering(cell, market, orders))
    try:
        yield orders
    finally:
        ordering.cancel()
        await asyncio.gather(ordering, *orders.placing, return_exceptions=True)


async def _keep_ordering(cell: Cell, market: Market, orders: Load) -> None:
    skus = list(market.packets)
    while True:
        wanted = random.sample(skus, random.randint(1, min(2, len(skus))))
        order = market.order(deadline=None, **dict.fromkeys(wanted, 1))
        orders.placing.append(asyncio.create_task(_order_and_receive(cell, order)))
        await asyncio.sleep(random.expovariate(ORDERS_PER_SECOND))


async def _order_and_receive(cell: Cell, order: Document) -> Document:
    outcome = await cell.client.place(order, PATIENCE_SECONDS)
    if outcome["type"] == "OrderPlaced":
        await cell.client.say(document("DeliveryCompleted", order_id=order["order_id"]))
    return outcome
