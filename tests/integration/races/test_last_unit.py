"""Several orders that want the last packet, or the last agent."""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

from messages.contracts.delivery import AgentCameOnline, AgentRefused, AgentReserved, ReleaseAgent
from messages.contracts.message import Message
from messages.contracts.store import PacketsRefused, PacketsReserved, ReservePackets
from messages.transport.database.lock_mode import LockMode
from tests.integration.races.twins import Crash, Twins, blocked, in_flight, reserve_agent
from tests.integration.store_worker.messages import refused, release, reserve, stock
from tests.integration.workers import Worker, heard


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


async def test_a_packet_that_became_free_while_another_was_waited_for_is_found(twins: Twins, order: UUID) -> None:
    here, there = twins
    busy = uuid4()
    await here.hear(stock("milk", "M-1"))
    await here.hear(reserve(busy, milk=1))
    await here.hear(stock("milk", "M-2"))

    async with in_flight(here, release(busy), reserve(uuid4(), milk=1)):
        reserving = await blocked(here, there.hear(reserve(order, milk=1)))

    assert await reserving == [PacketsReserved(order_id=order)]


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
    assert (there.looked_again, there.collisions) == (1, 1)


async def test_an_agent_who_became_free_while_another_was_waited_for_is_found(
    delivery_twins: Twins, order: UUID
) -> None:
    here, there = delivery_twins
    busy = uuid4()
    await here.hear(AgentCameOnline(agent_id="A-1", zone="mitte"))
    await here.hear(reserve_agent(busy))
    await here.hear(AgentCameOnline(agent_id="A-2", zone="mitte"))

    async with in_flight(here, ReleaseAgent(order_id=busy), reserve_agent(uuid4())):
        reserving = await blocked(here, there.hear(reserve_agent(order)))

    assert await reserving == [AgentReserved(order_id=order)]


async def test_many_orders_share_few_agents_and_none_is_sent_twice(delivery_twins: Twins) -> None:
    agents, orders = 5, 30
    await delivery_twins[0].hear(*(AgentCameOnline(agent_id=f"A-{n}", zone="mitte") for n in range(agents)))

    answers = await asyncio.gather(*(delivery_twins[n % 2].hear(reserve_agent(uuid4())) for n in range(orders)))

    assert sum(isinstance(answer, AgentReserved) for each in answers for answer in each) == agents
    held = await delivery_twins[0].query("SELECT unnest(unit_ids) AS agent_id FROM published.holdings")
    assert sorted(row["agent_id"] for row in held) == [f"A-{n}" for n in range(agents)]
