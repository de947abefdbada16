"""Two messages about the same order at the same time, and a lease that is over meanwhile."""

from uuid import UUID, uuid4

import pytest

from messages.contracts.store import PacketsAssigned, PacketsReleased, PacketsReserved
from messages.participant import queries
from messages.participant.reservation import State
from messages.transport.database.writing import write
from messages.transport.faults import Collision
from tests.integration.races.twins import Crash, LetPass, Twins, blocked, in_flight, sweeping
from tests.integration.store_worker.messages import assign, refused, release, reserve, stock
from tests.integration.workers import in_seconds

# Reserve and Release at the same time


async def test_a_release_that_meets_an_uncommitted_reserve_waits_and_frees(twins: Twins, order: UUID) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))

    async with in_flight(here, reserve(order, milk=1)):
        releasing = await blocked(here, there.hear(release(order)))

    assert await releasing == [PacketsReleased(order_id=order)]
    assert there.collisions == 1
    assert await here.stock() == {"M-1": "free"}
    assert await here.holdings() == {order: "released"}


async def test_a_release_that_meets_a_reserve_that_dies_leaves_a_tombstone(twins: Twins, order: UUID) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))

    async with in_flight(here, reserve(order, milk=1)):
        releasing = await blocked(here, there.hear(release(order)))
        raise Crash

    assert await releasing == [PacketsReleased(order_id=order)]
    assert await here.hear(reserve(order, milk=1)) == [refused(order, "released")]


async def test_a_reserve_that_meets_an_uncommitted_release_is_refused(twins: Twins, order: UUID) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))

    async with in_flight(here, release(order)):
        reserving = await blocked(here, there.hear(reserve(order, milk=1)))

    assert await reserving == [refused(order, "released")]
    assert await here.stock() == {"M-1": "free"}


async def test_a_reserve_delivered_twice_at_the_same_time_holds_once(twins: Twins, order: UUID) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1", "M-2"))

    async with in_flight(here, reserve(order, milk=1)):
        again = await blocked(here, there.hear(reserve(order, milk=1)))

    assert await again == [PacketsReserved(order_id=order)]
    assert sorted((await here.stock()).values()) == ["free", "reserved"]


async def test_what_is_written_must_still_be_as_it_was_read(twins: Twins, order: UUID) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))
    await here.hear(reserve(order, milk=1))
    async with here.database.transaction() as tx:
        _, known = await queries.read(tx, None, [order])
    await there.hear(assign(order))

    released = known[order]._replace(state=State.RELEASED, reason="released", unit_ids=(), due_at=None)
    with pytest.raises(Collision):
        async with here.database.transaction() as tx:
            await write(tx, queries.write([(known[order], released._replace(forget_at=in_seconds(60)))]))
    assert await here.holdings() == {order: "assigned"}


# Leases


async def test_an_assign_that_waited_for_a_lock_until_the_lease_was_over_is_refused(twins: Twins, order: UUID) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))
    await here.hear(reserve(order, milk=1))

    async with here.database.transaction() as tx:
        await tx.execute("SELECT FROM reservation WHERE order_id = $1 FOR UPDATE", order)
        assigning = await blocked(here, there.hear(assign(order)))
        await tx.execute("UPDATE reservation SET expires_at = clock_timestamp()")

    assert await assigning == [refused(order, "reservation_expired")]
    assert await here.stock() == {"M-1": "free"}


async def test_a_sweep_passes_over_what_is_being_assigned(let_pass: LetPass, twins: Twins, order: UUID) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))
    await here.hear(reserve(order, lease_seconds=30, milk=1))

    async with in_flight(here, assign(order)) as handled:
        await let_pass(30)
        assert await there.run("sweep") == []

    assert [said.message for said in handled.outgoing] == [PacketsAssigned(order_id=order, packet_ids=("M-1",))]
    assert await there.run("sweep") == []
    assert await here.stock() == {"M-1": "assigned"}


async def test_an_assign_that_meets_a_sweep_is_refused(twins: Twins, order: UUID) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))
    await here.hear(reserve(order, milk=1))
    await here.expire(order)

    async with sweeping(here):
        assigning = await blocked(here, there.hear(assign(order)))

    assert await assigning == [refused(order, "reservation_expired")]


async def test_a_sweep_that_dies_frees_nothing_by_halves(twins: Twins) -> None:
    here, there = twins
    orders = [uuid4() for _ in range(3)]
    await here.hear(stock("milk", "M-1", "M-2", "M-3"))
    await here.hear(*(reserve(each, milk=1) for each in orders))
    for each in orders:
        await here.expire(each)

    async with sweeping(here):
        raise Crash

    assert set((await here.stock()).values()) == {"reserved"}
    assert len(await there.run("sweep")) == 3
