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

PATIENCE_SECONDS = 120.0


@dataclass
class Load:
    """The orders so far; when the load is over, each has its outcome."""

    placing: "list[asyncio.Task[Document]]" = field(default_factory=list)

    @property
    def outcomes(self) -> list[Document]:
        return [each.result() for each in self.placing if each.done()]

    @property
    def placed(self) -> int:
        return sum(outcome["type"] == "OrderPlaced/1.0" for outcome in self.outcomes)

    async def until_placed(self, number: int) -> None:
        """Wait until so many more orders are placed."""
        enough = self.placed + number

        async def are_placed() -> bool:
            return self.placed >= enough

        await until(are_placed, f"{number} more orders are placed; so far {reasons(self.outcomes)}")


@asynccontextmanager
async def load(cell: Cell, market: Market, *, per_second: float) -> AsyncIterator[Load]:
    """Meanwhile so many orders come in, and what is placed is delivered. At the end, waits for every outcome."""
    orders = Load()
    ordering = asyncio.create_task(_keep_ordering(cell, market, orders, per_second))
    try:
        yield orders
    finally:
        ordering.cancel()
        await asyncio.wait({ordering, *orders.placing})


async def _keep_ordering(cell: Cell, market: Market, orders: Load, per_second: float) -> None:
    skus = list(market.packets)
    while True:
        lines = dict.fromkeys(random.sample(skus, random.randint(1, min(2, len(skus)))), 1)
        orders.placing.append(asyncio.create_task(_order_and_receive(cell, market.order(**lines))))
        await asyncio.sleep(random.expovariate(per_second))


async def _order_and_receive(cell: Cell, order: Document) -> Document:
    outcome = await cell.client.place(order, PATIENCE_SECONDS)
    if outcome["type"] == "OrderPlaced/1.0":
        await cell.client.say(document("DeliveryCompleted", order_id=order["order_id"]))
    return outcome
