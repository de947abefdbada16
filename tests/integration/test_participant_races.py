"""What happens when two daemons of one worker do things at the same time: every interleaving ends well."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeAlias
from uuid import UUID, uuid4

import pytest

import delivery_worker.queries
import delivery_worker.service
import delivery_worker.settings
import store_worker.goods
from messages.contracts.delivery import (
    AgentAssigned,
    AgentCameOnline,
    AgentRefused,
    AgentReserved,
    AgentWentOffline,
    AssignAgent,
    ReserveAgent,
)
from messages.contracts.message import Message
from messages.contracts.order import DeliveryCompleted
from messages.contracts.store import (
    PACKET_WITHDRAWN,
    AssignPackets,
    PacketsAssigned,
    PacketsRefused,
    PacketsReleased,
    PacketsReserved,
    PacketsWithdrawn,
    ReleasePackets,
    ReservePackets,
    StockReceived,
    Want,
)
from messages.participant import queries
from messages.participant.queries import Change
from messages.participant.reservation import State
from messages.transport.database.lock_mode import LockMode
from messages.transport.database.transactions import Transaction
from messages.transport.database.writing import write
from messages.transport.faults import Collision
from messages.transport.handled import Handled
from store_worker.service import service
from store_worker.settings import Settings
from tests.conftest import NewDatabase
from tests.integration.workers import (
    Worker,
    heard,
    in_seconds,
    is_waiting_for_a_lock,
    locks,
    trust_the_clock_for_long,
)

STORE = "berlin-1"
UNTIL_THE_FIRST_LEASE_IS_OVER = "SELECT pg_sleep_until(min(expires_at)) FROM reservation"
Twins: TypeAlias = tuple[Worker, Worker]


def reserve(order_id: UUID, lease_seconds: int = 60, **wants: int) -> ReservePackets:
    return ReservePackets(
        order_id=order_id,
        store_id=STORE,
        wants=tuple(Want(sku=sku, quantity=quantity) for sku, quantity in wants.items()),
        lease_seconds=lease_seconds,
        not_after=in_seconds(60),
    )


def assign(order_id: UUID) -> AssignPackets:
    return AssignPackets(order_id=order_id, not_after=in_seconds(60))


def release(order_id: UUID) -> ReleasePackets:
    return ReleasePackets(order_id=order_id)


def stock(sku: str, *packet_ids: str) -> StockReceived:
    return StockReceived(store_id=STORE, sku=sku, best_before=in_seconds(864_000), packet_ids=packet_ids)


def refused(order_id: UUID, reason: str) -> PacketsRefused:
    return PacketsRefused(order_id=order_id, reason=reason)


@pytest.fixture(autouse=True)
def _slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    trust_the_clock_for_long(monkeypatch)


@pytest.fixture
async def twins(new_database: NewDatabase) -> AsyncIterator[Twins]:
    """Two daemons on one database."""
    settings = Settings(database_url="postgresql://elsewhere/")
    url = await new_database(*service(settings).migrations)
    workers = await Worker.start(service(settings), url), await Worker.start(service(settings), url)
    yield workers
    for worker in workers:
        await worker.stop()


@pytest.fixture
def order() -> UUID:
    return uuid4()


class Crash(Exception):
    """The process dies before the commit."""


@asynccontextmanager
async def in_flight(worker: Worker, *messages: Message) -> AsyncIterator[Handled]:
    """Within: everything is handled and nothing committed. Raise Crash to roll it back."""
    try:
        async with worker.database.transaction(locks(worker.service, messages)) as tx:
            handled = await worker.service.handle(tx, [heard(message) for message in messages], LockMode.PESSIMISTIC)
            await write(tx, handled.writes)
            yield handled
    except Crash:
        return


@asynccontextmanager
async def sweeping(worker: Worker) -> AsyncIterator[None]:
    """Within: what is over is swept and nothing committed. Raise Crash to roll it back."""
    sweep = next(job for job in worker.service.jobs if job.name == "sweep")
    try:
        async with worker.database.transaction() as tx:
            await sweep.run(tx)
            yield
    except Crash:
        return


async def blocked(worker: Worker, doing: Awaitable[Sequence[Message]]) -> "asyncio.Future[Sequence[Message]]":
    """Start something, and return once the database makes it wait for a lock."""
    task = asyncio.ensure_future(doing)
    async with worker.database.transaction() as tx:
        while not await is_waiting_for_a_lock(tx):
            assert not task.done(), f"it did not wait: {task.result()}"
            await asyncio.sleep(0.005)
    return task


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
        _, known = await queries.read(tx, [order])
    await there.hear(assign(order))

    released = known[order]._replace(state=State.RELEASED, reason="released", unit_ids=(), due_at=None)
    with pytest.raises(Collision):
        async with here.database.transaction() as tx:
            await write(tx, queries.write([Change(known[order], released._replace(forget_at=in_seconds(60)))]))
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


async def test_a_sweep_passes_over_what_is_being_assigned(twins: Twins, order: UUID) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))
    await here.hear(reserve(order, lease_seconds=3, milk=1))

    async with in_flight(here, assign(order)) as handled:
        async with here.database.transaction() as tx:
            await tx.execute(UNTIL_THE_FIRST_LEASE_IS_OVER)
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


# The last packet


async def test_the_last_packet_is_not_sold_out_while_its_taker_may_die(twins: Twins, order: UUID) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))

    async with in_flight(here, reserve(uuid4(), milk=1)):
        reserving = await blocked(here, there.hear(reserve(order, milk=1)))
        raise Crash

    assert await reserving == [PacketsReserved(order_id=order)]
    assert there.looked_again == 1


async def test_who_waited_for_a_packet_has_it_for_the_whole_lease(twins: Twins, order: UUID) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))

    async with in_flight(here, reserve(uuid4(), milk=1)):
        reserving = await blocked(here, there.hear(reserve(order, milk=1)))
        since = (await here.query("SELECT clock_timestamp() AS now"))[0]["now"]
        raise Crash
    await reserving

    assert (await here.holding(order))["expires_at"] > since + timedelta(seconds=60)


async def test_the_last_packet_goes_to_one_and_the_other_is_refused(twins: Twins, order: UUID) -> None:
    here, there = twins
    first = uuid4()
    await here.hear(stock("milk", "M-1"))

    async with in_flight(here, reserve(first, milk=1)):
        reserving = await blocked(here, there.hear(reserve(order, milk=1)))

    assert await reserving == [refused(order, "out_of_stock")]
    assert await here.holdings() == {first: "reserved", order: "refused"}


async def test_what_others_have_locked_is_passed_over_without_waiting(twins: Twins, order: UUID) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1", "M-2"))

    async with in_flight(here, reserve(uuid4(), milk=1)):
        assert await there.hear(reserve(order, milk=1)) == [PacketsReserved(order_id=order)]

    assert there.looked_again == 0


async def test_a_real_miss_is_refused_at_once_though_others_hold_locks(twins: Twins, order: UUID) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1", "M-2"), stock("bread", "B-1"))

    async with in_flight(here, reserve(uuid4(), milk=1)):
        assert await there.hear(reserve(order, bread=2)) == [refused(order, "out_of_stock")]

    assert there.looked_again == 0


async def test_only_orders_that_miss_a_locked_packet_look_again(twins: Twins, order: UUID) -> None:
    here, there = twins
    lucky = uuid4()
    await here.hear(stock("milk", "M-1", "M-2"))

    async with in_flight(here, reserve(uuid4(), milk=1)):
        both = await blocked(here, there.hear(reserve(lucky, milk=1), reserve(order, milk=1)))

    assert await both == [PacketsReserved(order_id=lucky), refused(order, "out_of_stock")]
    assert there.looked_again == 1


async def test_many_daemons_sell_every_packet_once_and_refuse_only_the_rest(twins: Twins) -> None:
    packets, orders = 20, 60
    await twins[0].hear(stock("milk", *(f"M-{n}" for n in range(packets))))

    async def one_by_one(worker: Worker, messages: Sequence[Message]) -> list[Message]:
        return [answer for message in messages for answer in await worker.hear(message)]

    requests = [reserve(uuid4(), milk=1) for _ in range(orders)]
    lanes = [one_by_one(twins[lane % 2], requests[lane::6]) for lane in range(6)]
    answers = [answer for lane in await asyncio.gather(*lanes) for answer in lane]

    assert len(answers) == orders
    assert sum(isinstance(answer, PacketsReserved) for answer in answers) == packets
    held = await twins[0].query("SELECT unnest(unit_ids) AS packet_id FROM published.holdings")
    assert sorted(row["packet_id"] for row in held) == sorted(f"M-{n}" for n in range(packets))


async def test_orders_of_many_lines_that_wait_for_each_other_never_deadlock(twins: Twins) -> None:
    skus = ["bread", "butter", "cheese", "milk"]
    await twins[0].hear(*(stock(sku, *(f"{sku}-{n}" for n in range(12))) for sku in skus))
    shuffled = random.Random(7)

    def some_order() -> ReservePackets:
        return reserve(uuid4(), **{sku: shuffled.randint(1, 3) for sku in shuffled.sample(skus, 3)})

    batches = [[heard(some_order()) for _ in range(4)] for _ in range(12)]
    answers = await asyncio.gather(
        *(twins[turn % 2].hear_documents(batch, LockMode.BLOCKING) for turn, batch in enumerate(batches))
    )

    assert sum(map(len, answers)) == 48
    wanted_more_than_there_was = [answer for each in answers for answer in each if isinstance(answer, PacketsRefused)]
    assert {answer.reason for answer in wanted_more_than_there_was} <= {"out_of_stock"}


# Goods that are withdrawn at the same moment


async def test_a_withdrawal_waits_for_the_assign_it_meets_and_raises_the_alarm(twins: Twins, order: UUID) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))
    await here.hear(reserve(order, milk=1))

    async with in_flight(here, assign(order)):
        withdrawing = await blocked(here, there.hear(PacketsWithdrawn(store_id=STORE, packet_ids=("M-1",))))
    await withdrawing

    assert there.alarms == ["withdrawn_while_assigned"]


async def test_an_assign_waits_for_the_withdrawal_it_meets_and_is_refused(twins: Twins, order: UUID) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))
    await here.hear(reserve(order, milk=1))

    async with in_flight(here, PacketsWithdrawn(store_id=STORE, packet_ids=("M-1",))):
        assigning = await blocked(here, there.hear(assign(order)))

    assert await assigning == [refused(order, PACKET_WITHDRAWN)]
    assert await here.stock() == {"M-1": "retired"}


# Agents


@pytest.fixture
async def delivery_twins(new_database: NewDatabase) -> AsyncIterator[Twins]:
    settings = delivery_worker.settings.Settings(database_url="postgresql://elsewhere/")
    build = delivery_worker.service.service
    url = await new_database(*build(settings).migrations)
    workers = await Worker.start(build(settings), url), await Worker.start(build(settings), url)
    yield workers
    for worker in workers:
        await worker.stop()


def reserve_agent(order_id: UUID) -> ReserveAgent:
    return ReserveAgent(order_id=order_id, zone="mitte", lease_seconds=60, not_after=in_seconds(60))


async def test_the_last_agent_is_not_taken_while_the_taker_may_die(delivery_twins: Twins, order: UUID) -> None:
    here, there = delivery_twins
    await here.hear(AgentCameOnline(agent_id="A-1", zone="mitte"))

    async with in_flight(here, reserve_agent(uuid4())):
        reserving = await blocked(here, there.hear(reserve_agent(order)))
        raise Crash

    assert await reserving == [AgentReserved(order_id=order)]
    assert (there.looked_again, there.collisions) == (1, 0)


async def test_the_last_agent_goes_to_one_and_the_other_is_refused(delivery_twins: Twins, order: UUID) -> None:
    here, there = delivery_twins
    await here.hear(AgentCameOnline(agent_id="A-1", zone="mitte"))

    async with in_flight(here, reserve_agent(uuid4())):
        reserving = await blocked(here, there.hear(reserve_agent(order)))

    assert await reserving == [AgentRefused(order_id=order, reason="no_agent")]
    assert (there.looked_again, there.collisions) == (1, 0)


async def test_many_orders_share_few_agents_and_none_is_sent_twice(delivery_twins: Twins) -> None:
    agents, orders = 5, 30
    await delivery_twins[0].hear(*(AgentCameOnline(agent_id=f"A-{n}", zone="mitte") for n in range(agents)))

    answers = await asyncio.gather(*(delivery_twins[n % 2].hear(reserve_agent(uuid4())) for n in range(orders)))

    assert sum(isinstance(answer, AgentReserved) for each in answers for answer in each) == agents
    held = await delivery_twins[0].query("SELECT unnest(unit_ids) AS agent_id FROM published.holdings")
    assert sorted(row["agent_id"] for row in held) == [f"A-{n}" for n in range(agents)]


# Without a lock


@pytest.fixture(params=[LockMode.OPTIMISTIC, LockMode.CACHED], ids=lambda lock_mode: lock_mode.name.lower())
def lock_mode(request: pytest.FixtureRequest) -> LockMode:
    """Each race once with reading and once with what the worker remembers, which he has heard before."""
    assert isinstance(request.param, LockMode)
    return request.param


@asynccontextmanager
async def decided(
    worker: Worker, said: Message | Sequence[Message], lock_mode: LockMode
) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """Within: it is decided on what was read without a lock or remembered, and yet to be written."""
    messages = [said] if isinstance(said, Message) else said
    async with worker.database.session() as tx:
        handled = await worker.service.handle(tx, [heard(message) for message in messages], lock_mode)
        yield lambda: write(tx, handled.writes)


async def test_a_packet_that_was_taken_in_between_is_not_taken_again(
    twins: Twins, order: UUID, lock_mode: LockMode
) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))
    first = uuid4()

    async with decided(here, reserve(order, milk=1), lock_mode) as write_it:
        assert await there.hear(reserve(first, milk=1)) == [PacketsReserved(order_id=first)]
        with pytest.raises(Collision):
            await write_it()

    assert await here.holdings() == {first: "reserved"}
    assert await here.stock() == {"M-1": "reserved"}


async def test_an_order_that_was_released_in_between_is_not_reserved(
    twins: Twins, order: UUID, lock_mode: LockMode
) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))

    async with decided(here, reserve(order, milk=1), lock_mode) as write_it:
        await there.hear(release(order))
        with pytest.raises(Collision):
            await write_it()

    assert await here.holdings() == {order: "released"}
    assert await here.stock() == {"M-1": "free"}


async def test_nothing_is_decided_on_a_reservation_whose_packet_was_withdrawn_in_between(
    twins: Twins, order: UUID, lock_mode: LockMode
) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))
    await here.hear(reserve(order, milk=1))

    async with decided(here, assign(order), lock_mode) as write_it:
        await there.hear(PacketsWithdrawn(store_id=STORE, packet_ids=("M-1",)))
        with pytest.raises(Collision):
            await write_it()

    assert await there.hear(assign(order)) == [refused(order, PACKET_WITHDRAWN)]


async def test_a_search_without_a_transaction_neither_locks_nor_passes_over_what_is_locked(
    twins: Twins, order: UUID, lock_mode: LockMode
) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))

    async with here.database.transaction() as tx, there.database.session() as other:
        await tx.execute("SELECT FROM packet FOR UPDATE")
        handled = await there.service.handle(other, [heard(reserve(order, milk=1))], lock_mode)

    assert [said.message for said in handled.outgoing] == [PacketsReserved(order_id=order)]


async def test_of_leases_that_are_assigned_together_the_first_to_run_out_must_not_have_run_out_when_they_are_written(
    twins: Twins, order: UUID, lock_mode: LockMode
) -> None:
    here, there = twins
    patient = uuid4()
    await here.hear(stock("milk", "M-1", "M-2"))
    await here.hear(reserve(order, lease_seconds=3, milk=1), reserve(patient, lease_seconds=60, milk=1))

    async with decided(here, [assign(patient), assign(order)], lock_mode) as write_it:
        await there.query(UNTIL_THE_FIRST_LEASE_IS_OVER)
        with pytest.raises(Collision, match="too late"):
            await write_it()

    answers = await here.hear(assign(order), assign(patient))
    assert answers[0] == refused(order, "reservation_expired")
    assert isinstance(answers[1], PacketsAssigned)


async def test_without_a_transaction_nobody_waits_long_for_a_lock(
    twins: Twins, order: UUID, lock_mode: LockMode
) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))
    await here.hear(reserve(order, milk=1))

    async with in_flight(here, release(order)), decided(there, assign(order), lock_mode) as write_it:
        with pytest.raises(Collision):
            await asyncio.wait_for(write_it(), 5)

    assert await here.holdings() == {order: "released"}


async def test_a_packet_that_was_withdrawn_in_between_is_not_taken(
    twins: Twins, order: UUID, lock_mode: LockMode
) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))

    async with decided(here, reserve(order, milk=1), lock_mode) as write_it:
        await there.hear(PacketsWithdrawn(store_id=STORE, packet_ids=("M-1",)))
        with pytest.raises(Collision):
            await write_it()

    assert await here.hear(reserve(order, milk=1)) == [refused(order, "out_of_stock")]


async def test_an_agent_who_left_in_between_is_not_sent(
    delivery_twins: Twins, order: UUID, lock_mode: LockMode
) -> None:
    here, there = delivery_twins
    await here.hear(AgentCameOnline(agent_id="A-1", zone="mitte"))

    async with decided(here, reserve_agent(order), lock_mode) as write_it:
        await there.hear(AgentWentOffline(agent_id="A-1"))
        with pytest.raises(Collision):
            await write_it()


async def test_an_agent_who_went_to_another_zone_in_between_is_not_sent(
    delivery_twins: Twins, order: UUID, lock_mode: LockMode
) -> None:
    here, there = delivery_twins
    await here.hear(AgentCameOnline(agent_id="A-1", zone="mitte"))

    async with decided(here, reserve_agent(order), lock_mode) as write_it:
        await there.hear(AgentCameOnline(agent_id="A-1", zone="nord"))
        with pytest.raises(Collision):
            await write_it()

    assert await here.hear(reserve_agent(order)) == [AgentRefused(order_id=order, reason="no_agent")]


async def test_a_packet_taken_while_it_is_being_withdrawn_is_withdrawn_from_its_order(
    twins: Twins, order: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))
    look_for_holders = store_worker.goods.lock_holders

    async def too_early(tx: Transaction, packet_ids: Sequence[str]) -> set[UUID]:
        found = await look_for_holders(tx, packet_ids)
        if not here.collisions:
            await there.hear(reserve(order, milk=1))
        return found

    monkeypatch.setattr(store_worker.goods, "lock_holders", too_early)
    await here.hear(PacketsWithdrawn(store_id=STORE, packet_ids=("M-1",)))

    assert here.collisions == 1
    assert await _remembering(there, assign(order)) == "collision"
    assert await there.hear(assign(order)) == [refused(order, PACKET_WITHDRAWN)]


@pytest.mark.parametrize("withdrawn_first", [True, False])
async def test_a_packet_that_is_received_and_withdrawn_at_the_same_time_is_withdrawn(
    twins: Twins, withdrawn_first: bool
) -> None:
    here, there = twins
    messages = [stock("milk", "M-1"), PacketsWithdrawn(store_id=STORE, packet_ids=("M-1",))]
    first, second = reversed(messages) if withdrawn_first else messages

    async with in_flight(here, first):
        other = await blocked(here, there.hear(second))
    await other

    assert await here.stock() == {"M-1": "retired"}


async def test_an_agent_sent_while_he_is_leaving_has_left_his_order(
    delivery_twins: Twins, order: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = delivery_twins
    await here.hear(AgentCameOnline(agent_id="A-1", zone="mitte"))
    look_for_holders = delivery_worker.queries.lock_holders

    async def too_early(tx: Transaction, agent_ids: Sequence[str]) -> set[UUID]:
        found = await look_for_holders(tx, agent_ids)
        if not here.collisions:
            await there.hear(reserve_agent(order))
        return found

    monkeypatch.setattr(delivery_worker.queries, "lock_holders", too_early)
    await here.hear(AgentWentOffline(agent_id="A-1"))

    assert here.collisions == 1
    assert await _remembering(there, AssignAgent(order_id=order, not_after=in_seconds(60))) == "collision"


async def test_agents_who_come_and_go_do_not_deadlock_with_a_sweep(
    delivery_twins: Twins, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = delivery_twins
    agents = ("A-1", "A-2")
    await here.hear(*(AgentCameOnline(agent_id=agent_id, zone="mitte") for agent_id in agents))
    await here.hear(*(reserve_agent(uuid4()) for _ in agents))
    await here.execute("UPDATE reservation SET expires_at = clock_timestamp(), due_at = clock_timestamp()")
    look_for_holders = delivery_worker.queries.lock_holders
    sweeps: list[asyncio.Future[list[Message]]] = []

    async def while_it_is_swept(tx: Transaction, agent_ids: Sequence[str]) -> set[UUID]:
        sweeps.append(asyncio.ensure_future(there.run("sweep")))
        while not sweeps[0].done() and not await is_waiting_for_a_lock(tx):
            await asyncio.wait(sweeps, timeout=0.005)
        return await look_for_holders(tx, agent_ids)

    monkeypatch.setattr(delivery_worker.queries, "lock_holders", while_it_is_swept)
    await here.hear(AgentCameOnline(agent_id="A-1", zone="mitte"), AgentWentOffline(agent_id="A-2"))

    assert len(await sweeps[0]) == len(agents)
    assert await here.stock() == {"A-1": "free", "A-2": "offline"}


@pytest.mark.parametrize("gone_first", [True, False])
async def test_an_agent_never_heard_of_who_comes_and_goes_at_the_same_time_is_where_was_said_last(
    delivery_twins: Twins, gone_first: bool
) -> None:
    here, there = delivery_twins
    messages: list[Message] = [
        AgentCameOnline(agent_id="A-1", zone="mitte", at=in_seconds(-60)),
        AgentWentOffline(agent_id="A-1", at=in_seconds(-30)),
    ]
    first, second = reversed(messages) if gone_first else messages

    async with in_flight(here, first):
        other = await blocked(here, there.hear(second))
    await other

    assert await here.stock() == {"A-1": "offline"}


@pytest.mark.parametrize("known_as_gone", [True, False])
async def test_an_agent_who_came_and_was_sent_while_he_is_leaving_has_left_his_order(
    delivery_twins: Twins, order: UUID, known_as_gone: bool
) -> None:
    here, there = delivery_twins
    if known_as_gone:
        await here.hear(AgentWentOffline(agent_id="A-1"))

    async with in_flight(here, AgentCameOnline(agent_id="A-1", zone="mitte"), reserve_agent(order)) as handled:
        leaving = await blocked(here, there.hear(AgentWentOffline(agent_id="A-1")))
    assert here.service.row_cache is not None
    here.service.row_cache.put(handled.changes)
    await leaving

    assert there.collisions == 1
    assert await _remembering(here, AssignAgent(order_id=order, not_after=in_seconds(60))) == "collision"


# From memory


async def test_what_was_forgotten_or_never_heard_here_is_no_new_order(twins: Twins, order: UUID) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1", "M-2"))
    await here.hear(release(uuid4()))  # which tells the time
    await there.hear(reserve(order, milk=1))

    assert await _remembering(here, reserve(order, milk=1)) == "collision"
    late = reserve(order, milk=1).model_copy(update={"not_after": in_seconds(-60)})
    assert await _remembering(here, late) == "collision"
    assert await here.stock() == {"M-1": "reserved", "M-2": "free"}


async def test_what_has_ended_elsewhere_is_not_answered_as_it_was(twins: Twins, order: UUID) -> None:
    here, there = twins
    await here.hear(stock("milk", "M-1"))
    await here.hear(reserve(order, milk=1))
    await there.hear(release(order))

    assert await _remembering(here, reserve(order, milk=1)) == "collision"


async def test_a_duplicate_is_answered_from_memory(twins: Twins, order: UUID) -> None:
    here, _ = twins
    await here.hear(stock("milk", "M-1"))
    await here.hear(reserve(order, milk=1))

    assert await _remembering(here, reserve(order, milk=1)) == [PacketsReserved(order_id=order)]


async def test_units_that_were_unfit_are_looked_up_again(delivery_twins: Twins, order: UUID) -> None:
    here, there = delivery_twins
    await here.hear(AgentCameOnline(agent_id="A-1", zone="mitte"))
    await here.hear(reserve_agent(order))
    await there.hear(AgentWentOffline(agent_id="A-1"))
    await here.hear(DeliveryCompleted(order_id=order))
    await there.hear(AgentCameOnline(agent_id="A-1", zone="mitte"))

    assign_agent = AssignAgent(order_id=order, not_after=in_seconds(60))
    assert await _remembering(here, assign_agent) == [AgentAssigned(order_id=order, agent_id="A-1")]


async def _remembering(worker: Worker, message: Message) -> list[Message] | str:
    """What is answered from memory, or that it does not hold; nothing is read of orders."""
    async with worker.database.session() as tx:
        handled = await worker.service.handle(tx, [heard(message)], LockMode.CACHED)
        try:
            await write(tx, handled.writes)
        except Collision:
            return "collision"
    return [said.message for said in handled.outgoing]
