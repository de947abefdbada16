"""RabbitMQ is restarted, and loses messages: that costs time, but no accepted order."""

import asyncio
import json
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from itertools import cycle

from messages.transport.cancelling import cancel
from tests.end_to_end.cell import QUEUES, Cell
from tests.end_to_end.client import Document, document, routing_key
from tests.end_to_end.daemons import SERVICES
from tests.end_to_end.load import load
from tests.end_to_end.wire import Wire, wire

# What waits in a daemon's own memory is out of a purge's reach: let it wait in the queue.
NEARLY_NOTHING_AHEAD = {
    f"{service}_{queue}_PREFETCH": "2"
    for service in ("ORDER_SAGA", "STORE_WORKER", "DELIVERY_WORKER")
    for queue in ("NEW_WORK", "PRIORITY")
}
FLOODED_SECONDS = 10.0


async def test_rabbitmq_may_be_restarted_under_load(own_rabbitmq, shared_servers, new_cell):
    servers = shared_servers._replace(broker_url=own_rabbitmq.url, management_url=own_rabbitmq.management_url)
    cell = await new_cell(servers=servers)
    async with load(cell) as orders:
        for end in (own_rabbitmq.stop, own_rabbitmq.kill):
            await orders.until_placed(20)
            before = {daemon: len(daemon.told("broker connection lost")) for daemon in cell.daemons}
            await end()
            for daemon in cell.daemons:
                await daemon.until_told("broker connection lost", times=before[daemon] + 1)
            await own_rabbitmq.start()
        await orders.until_placed(100)
    orders.assert_useful(share=0.5, number=100)
    assert all(daemon.running for daemon in cell.daemons)


async def test_every_queue_of_orders_may_be_purged_under_load(new_cell):
    cell = await new_cell(**NEARLY_NOTHING_AHEAD)
    # What is lost of reports nobody says again but their sender.
    purged = {queue: 0 for queue in QUEUES if not queue.endswith(".reports")}
    async with load(cell) as orders, wire(cell.broker_url) as hand:
        for queue in cycle(purged):
            async with filled(queue, cell, hand):
                purged[queue] += await hand.purge(queue)
            if min(purged.values()) >= 3:
                break
        await orders.until_placed(100)
    orders.assert_useful(share=0.5, number=100)


async def test_a_queue_may_vanish_under_load_and_is_declared_anew(new_cell):
    cell = await new_cell()
    async with load(cell) as orders:
        for queue in random.sample(QUEUES, k=len(QUEUES)):
            await orders.until_placed(10)
            daemon = cell.daemon(queue.partition(".")[0])
            before = len(daemon.told("consumer lost"))
            async with wire(cell.broker_url) as hand:
                await hand.delete(queue)
            await daemon.until_told("consumer lost", times=before + 1)
        await orders.until_placed(50)
    orders.assert_useful(share=0.5, number=100)


async def test_while_the_queue_of_a_participant_is_full_accepted_orders_are_still_decided(new_cell):
    cell = await new_cell(ORDER_SAGA_UNCONFIRMED_ROWS="1", ORDER_SAGA_BUDGET_SECONDS="1")
    market = await cell.market(agents=50, milk=5)
    await cell.daemon("store_worker").kill()
    async with bounded(cell, "store_worker.reserve", messages=1):
        while not cell.daemon("order_saga").told("not confirmed, publishing again"):
            assert (await cell.client.place(market.order(milk=1)))["reason"] == "deadline_passed"
    await cell.daemon("store_worker").start()
    await cell.until_free(market)


async def test_services_whose_queues_clients_have_filled_do_not_wait_for_each_other_for_ever(new_cell):
    one_row = {f"{service.upper()}_UNCONFIRMED_ROWS": "1" for service in SERVICES}
    cell = await new_cell(**one_row, **NEARLY_NOTHING_AHEAD)
    stock, agent = (await cell.market(agents=1, milk=1)).stocking()
    async with bounded(cell, r"(order_saga\.answers|.*\.reports)", messages=50), load(cell) as orders:
        async with flooded(cell, stock, agent, document("CancelOrder", order_id="any")):
            for worker in ("store_worker", "delivery_worker"):
                await cell.daemon(worker).until_told("not confirmed, publishing again")
            await asyncio.sleep(FLOODED_SECONDS)  # in which the queues would fill that no client should fill
        await orders.until_placed(20)
    failures = [line["failures"] for line in cell.daemon("order_saga").told("publishing failed")]
    assert not any("refused" in each for each in failures), "no client can fill what the order saga publishes to"


@asynccontextmanager
async def flooded(cell: Cell, *kinds: Document) -> AsyncIterator[None]:
    """Meanwhile clients put as many documents of these kinds as they can into the queues that they can fill."""

    async def flood(kind: Document) -> None:
        key = routing_key(kind["type"].partition("/")[0])
        while True:
            another = kind | {name: str(uuid.uuid4()) for name in ("message_id", "order_id") if name in kind}
            await cell.client.publish(json.dumps(another).encode(), exchange="requests", key=key)

    floods = [asyncio.create_task(flood(kind)) for kind in kinds for _ in range(10)]
    try:
        yield
    finally:
        await cancel(*floods)


@asynccontextmanager
async def bounded(cell: Cell, queues: str, *, messages: int) -> AsyncIterator[None]:
    """These queues take hardly more messages, and reject the others."""
    path = f"policies/{cell.name}/full"
    policy = {"pattern": f"^{queues}$", "apply-to": "queues", "definition": {"max-length": messages}}
    await cell.management.call("PUT", path, policy)
    yield
    await cell.management.call("DELETE", path)


FEEDERS = {
    "order_saga.answers": "store_worker",
    "store_worker.reserve": "order_saga",
    "store_worker.settle": "delivery_worker",
    "delivery_worker.reserve": "order_saga",
    "delivery_worker.settle": "store_worker",
}
"""queue -> the service that has to do something before anything is put there."""


@asynccontextmanager
async def filled(queue: str, cell: Cell, hand: Wire) -> AsyncIterator[None]:
    """Something waits in the queue: who feeds it had work piled up, and who reads it stands still."""
    with ExitStack() as standstill:
        if feeder := FEEDERS.get(queue):
            with cell.daemon(feeder).paused():
                await hand.until_waiting("order_saga.orders" if feeder == "order_saga" else f"{feeder}.reserve")
                standstill.enter_context(cell.daemon(queue.partition(".")[0]).paused())
        else:
            standstill.enter_context(cell.daemon("order_saga").paused())
        await hand.until_waiting(queue)
        yield
