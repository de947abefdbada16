"""An order in phase two, of which one worker has heard and the other has not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.end_to_end.cell import Cell
from tests.end_to_end.client import Document

OTHER = {"store_worker": "delivery_worker", "delivery_worker": "store_worker"}
RESERVED = {"store_worker": "PacketsReserved", "delivery_worker": "AgentReserved"}
ASSIGN = {"store_worker": "AssignPackets", "delivery_worker": "AssignAgent"}


@asynccontextmanager
async def only_reserved_by(cell: Cell, worker: str, order: Document) -> AsyncIterator["asyncio.Task[Document]"]:
    """This worker has reserved for the order. The other one stands still, until the end of the block."""
    with cell.daemon(OTHER[worker]).paused():
        placing = asyncio.create_task(cell.client.place(order))
        await cell.until_noted("order_saga", order["order_id"], RESERVED[worker])
        yield placing


async def until_assigned_by(cell: Cell, worker: str, order: Document) -> None:
    await cell.until_noted(worker, order["order_id"], ASSIGN[worker], "assigned ")
