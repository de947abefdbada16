"""No more requests are open at a time than the window allows."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from messages.contracts.order import OrderPlaced
from messages.transport import document
from messages.transport.addresses import OUTCOMES, REQUESTS, Address
from messages.transport.broker import ONE_DOCUMENT, Envelope
from messages.transport.edge.outcomes import Listener
from messages.transport.handled import Outgoing
from messages.transport.in_process.broker import InProcessBroker
from messages.transport.topology import EXCHANGES, Binding, Queue, Topology, listener
from order_saga.client.awaiting import Result
from order_saga.client.place import Limits, place
from order_saga.client.request_lines import Given
from tests.unit.place.requests import an_order

MINE = listener("test")
REQUESTED = [an_order(order_id=str(uuid4())) for _ in range(5)]
PATIENCE_SECONDS = 60.0


class Shop:
    """Takes requests, and answers them when it is told to."""

    def __init__(self) -> None:
        queues, bindings = (Queue("shop", {}), *MINE.queues), (Binding(REQUESTS, "#", "shop"), *MINE.bindings)
        self.broker = InProcessBroker(Topology(EXCHANGES, queues, bindings))
        self.told: list[Result] = []

    async def open(self) -> None:
        await self.broker.start()
        self._requests = await self.broker.subscribe("shop", 100, lambda: None)
        self._listener = await Listener.on(self.broker, MINE.queues[0].name)

    async def place(self, window: int) -> None:
        requests = Given(*(asked.request for asked in REQUESTED))
        await place(self.broker, self._listener, requests, Limits(window), self.told.append)

    @property
    def asked(self) -> int:
        return len({arrival.body for arrival in self._requests.arrived})

    async def answer(self, order_id: UUID) -> None:
        to = Address(OUTCOMES, "order_placed")
        placed = OrderPlaced(order_id=order_id, packet_ids=("P-1",), agent_id="A-1")
        await self.broker.publish([Envelope(to, document.encode(Outgoing(placed, to)), ONE_DOCUMENT, str(uuid4()))])


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    shop = Shop()
    await shop.open()
    yield shop
    await shop.broker.close()


async def test_no_more_requests_are_open_than_the_window_allows(shop: Shop) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
        tasks.create_task(shop.place(window=2))
        for number, asked in enumerate(REQUESTED):
            open_by_now = min(number + 2, len(REQUESTED))
            while shop.asked < open_by_now:  # noqa: ASYNC110  a queue sets no event
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            assert shop.asked == open_by_now
            await shop.answer(asked.order_id)

    assert [result.asked.order_id for result in shop.told] == [asked.order_id for asked in REQUESTED]
