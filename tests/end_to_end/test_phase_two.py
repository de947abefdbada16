"""Everything is reserved, and then something goes wrong: what is assigned is undone, and what comes late is refused."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

from tests.end_to_end.cell import Cell
from tests.end_to_end.client import Document, document
from tests.end_to_end.market import Market
from tests.end_to_end.phase_two import OTHER, RESERVED, only_reserved_by, until_assigned_by
from tests.end_to_end.verdict import rest
from tests.end_to_end.wire import wire

HARDLY_SWEEPS = {"STORE_WORKER_SWEEP_INTERVAL_SECONDS": "10"}


async def test_a_lease_that_is_over_has_its_assign_refused_though_no_sweeper_has_run(new_cell):
    cell = await new_cell(**HARDLY_SWEEPS)
    market = await cell.market(agents=1, milk=1)
    order = market.order(milk=1)
    async with reserved_for_a_moment(cell, market, order, lease_seconds=1) as placing:
        await until_the_lease_is_over(cell, "store_worker", order)
    outcome = await placing
    assert (outcome["participant"], outcome["reason"]) == ("store", "reservation_expired")
    await cell.until_noted("store_worker", order["order_id"], "AssignPackets", "refused: reservation_expired")
    await until_assigned_by(cell, "delivery_worker", order)
    await cell.until_free(market)


async def test_a_lease_that_the_sweeper_has_ended_has_its_assign_refused(shop):
    market = await shop.market(agents=1, milk=1)
    order = market.order(milk=1)
    with ExitStack() as standstill:
        async with reserved_for_a_moment(shop, market, order, lease_seconds=3) as placing:
            standstill.enter_context(shop.daemon("order_saga").paused())
        # The orchestrator finds both in its queue: the agent is reserved, and the packets no longer are.
        await shop.until_held("delivery_worker", order["order_id"], "reserved")
        await shop.until_held("store_worker", order["order_id"], "expired")
    outcome = await placing
    assert (outcome["participant"], outcome["reason"]) == ("store", "reservation_expired")
    await shop.until_noted("store_worker", order["order_id"], "AssignPackets", "refused: reservation_expired")
    await shop.until_free(market)


async def test_a_worker_that_was_down_through_phase_two_is_asked_again_and_the_order_is_placed(shop):
    market = await shop.market(agents=1, milk=1)
    order = market.order(milk=1)
    async with only_reserved_by(shop, "store_worker", order) as placing:
        await shop.daemon("store_worker").kill()
    await until_assigned_by(shop, "delivery_worker", order)
    async with wire(shop.broker_url) as hand:
        await hand.until_waiting("store_worker.settle")
        assert await hand.purge("store_worker.settle") >= 1
    await shop.daemon("store_worker").start()
    assert (await placing)["type"] == "OrderPlaced"
    await shop.until_noted("order_saga", order["order_id"], "Due", "assigning: asked")


async def test_a_worker_that_was_down_for_too_long_does_not_keep_anything(shop):
    market = await shop.market(agents=1, milk=1)
    order = market.order(milk=1)
    async with only_reserved_by(shop, "delivery_worker", order) as placing:
        await shop.daemon("delivery_worker").kill()
    await until_assigned_by(shop, "store_worker", order)
    await let_the_deadline_pass(shop, order)
    assert (await placing)["reason"] == "deadline_passed"
    await shop.until_held("store_worker", order["order_id"], "released")
    await end_the_lease(shop, "delivery_worker", order)
    await shop.daemon("delivery_worker").start()
    await shop.until_free(market)


async def test_a_release_that_overtakes_its_reserve_keeps_it_from_holding_anything(shop):
    market = await shop.market(agents=1, milk=1)
    order = market.order(milk=1)
    release = document("ReleasePackets", order_id=order["order_id"])
    await shop.client.say(release, exchange="commands", key="store_worker.settle")
    await shop.until_noted("store_worker", order["order_id"], "ReleasePackets", "nothing was held")
    outcome = await shop.client.place(order)
    assert (outcome["type"], outcome["reason"]) == ("OrderNotPlaced", "released")
    await shop.until_free(market)


async def test_an_order_cancelled_while_both_workers_are_down_holds_nothing_when_they_are_back(shop):
    market = await shop.market(agents=1, milk=1)
    order = market.order(milk=1)
    for worker in OTHER:
        await shop.daemon(worker).kill()
    placing = asyncio.create_task(shop.client.place(order))
    await shop.until_noted("order_saga", order["order_id"], "OrderRequested", "reserving")
    assert (await shop.client.cancel(order["order_id"]))["reason"] == "cancelled"
    await placing
    for worker in OTHER:
        await shop.daemon(worker).start()
    await rest(shop)
    await shop.until_free(market)


@asynccontextmanager
async def reserved_for_a_moment(
    cell: Cell, market: Market, order: Document, *, lease_seconds: int
) -> AsyncIterator["asyncio.Task[Document]"]:
    """As above, for the store, with a lease that is much shorter than settings allow, as after a leap of its clock."""
    (line,) = order["lines"]
    reserve = document(
        "ReservePackets",
        order_id=order["order_id"],
        store_id=market.store_id,
        wants=[{"sku": line["sku"], "quantity": line["quantity"]}],
        lease_seconds=lease_seconds,
        not_after=(datetime.now(UTC) + timedelta(minutes=5)).isoformat(),
    )
    with cell.daemon("delivery_worker").paused():
        await cell.daemon("store_worker").kill()
        placing = asyncio.create_task(cell.client.place(order))
        async with wire(cell.broker_url) as hand:
            await hand.until_waiting("store_worker.reserve")
            with cell.daemon("order_saga").paused():  # or it says it once more in between
                await hand.purge("store_worker.reserve")
                await cell.client.say(reserve, exchange="commands", key="store_worker.reserve")
        await cell.daemon("store_worker").start()
        await cell.until_noted("order_saga", order["order_id"], RESERVED["store_worker"])
        yield placing


async def end_the_lease(cell: Cell, worker: str, order: Document) -> None:
    """As time does."""
    over = "UPDATE reservation SET expires_at = clock_timestamp(), due_at = clock_timestamp() WHERE order_id = $1"
    assert await cell.rows(worker, f"{over} AND state = 'reserved' RETURNING state", uuid.UUID(order["order_id"]))
    await until_the_lease_is_over(cell, worker, order)


async def until_the_lease_is_over(cell: Cell, worker: str, order: Document) -> None:
    """Also if a sweeper, by chance, has ended it before we look again."""
    over = "SELECT FROM published.holdings WHERE order_id = $1 AND expires_at < clock_timestamp()"
    await cell.until_rows(worker, over, uuid.UUID(order["order_id"]))


async def let_the_deadline_pass(cell: Cell, order: Document) -> None:
    """As time does, but not before the test has come so far."""
    passed = "UPDATE saga SET deadline = clock_timestamp(), due_at = clock_timestamp() WHERE order_id = $1"
    assert await cell.rows("order_saga", f"{passed} RETURNING phase", uuid.UUID(order["order_id"]))
