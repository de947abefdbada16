"""The delivery worker against a real PostgreSQL: which agents are sent, and which are idle afterwards."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from delivery_worker.service import service
from delivery_worker.settings import Settings
from delivery_worker.units import Agents
from messages.contracts.delivery import (
    AGENT_OFFLINE,
    AgentAssigned,
    AgentCameOnline,
    AgentRefused,
    AgentReleased,
    AgentReserved,
    AgentWentOffline,
    AssignAgent,
    ReleaseAgent,
    ReserveAgent,
)
from messages.contracts.order import DeliveryCompleted, OrderPlaced
from messages.participant.participant import Moves
from messages.transport.database.writing import write
from messages.transport.faults import Collision
from tests.conftest import NewDatabase
from tests.integration.toy.waiting import PATIENCE_SECONDS
from tests.integration.workers import Worker, in_seconds

ZONE = "mitte"
MORNING = datetime(2026, 5, 1, 8, tzinfo=UTC)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
EVENING = datetime(2026, 5, 1, 17, tzinfo=UTC)


def reserve(order_id: UUID, zone: str = ZONE) -> ReserveAgent:
    return ReserveAgent(order_id=order_id, zone=zone, lease_seconds=60, not_after=in_seconds(60))


def assign(order_id: UUID) -> AssignAgent:
    return AssignAgent(order_id=order_id, not_after=in_seconds(60))


def release(order_id: UUID) -> ReleaseAgent:
    return ReleaseAgent(order_id=order_id)


def placed(order_id: UUID, agent_id: str = "A-1") -> OrderPlaced:
    return OrderPlaced(order_id=order_id, packet_ids=("P-1",), agent_id=agent_id)


def completed(order_id: UUID) -> DeliveryCompleted:
    return DeliveryCompleted(order_id=order_id)


def online(agent_id: str, zone: str = ZONE, at: datetime | None = None) -> AgentCameOnline:
    return AgentCameOnline(agent_id=agent_id, zone=zone, at=at)


def offline(agent_id: str, at: datetime | None = None) -> AgentWentOffline:
    return AgentWentOffline(agent_id=agent_id, at=at)


def refused(order_id: UUID, reason: str) -> AgentRefused:
    return AgentRefused(order_id=order_id, reason=reason)


@pytest.fixture
async def delivery(new_database: NewDatabase) -> AsyncIterator[Worker]:
    built = service(Settings(database_url="postgresql://elsewhere/"))
    worker = await Worker.start(built, await new_database(*built.migrations))
    yield worker
    await worker.stop()


@pytest.fixture
def order() -> UUID:
    return uuid4()


@pytest.fixture(params=[True, False], ids=["in one batch", "one after the other"])
def together(request: pytest.FixtureRequest) -> bool:
    """Whether what is said arrives in one batch."""
    is_together: bool = request.param
    return is_together


async def hear(delivery: Worker, together: bool, *messages: AgentCameOnline | AgentWentOffline) -> None:
    for batch in [messages] if together else [(message,) for message in messages]:
        await delivery.hear(*batch)


async def agent_of(delivery: Worker, order_id: UUID) -> str:
    agent_ids: list[str] = (await delivery.holding(order_id))["unit_ids"]
    (agent_id,) = agent_ids
    return agent_id


async def test_an_order_goes_from_reserved_to_fulfilled_and_the_agent_is_idle_again(
    delivery: Worker, order: UUID
) -> None:
    await delivery.hear(online("A-1"))

    assert await delivery.hear(reserve(order)) == [AgentReserved(order_id=order)]
    assert await delivery.stock() == {"A-1": "reserved"}
    assert await delivery.hear(assign(order)) == [AgentAssigned(order_id=order, agent_id="A-1")]
    assert await delivery.stock() == {"A-1": "assigned"}
    assert await delivery.hear(placed(order)) == []
    assert await delivery.stock() == {"A-1": "confirmed"}
    assert await delivery.hear(completed(order)) == []
    assert await delivery.stock() == {"A-1": "free"}
    assert (await delivery.holding(order))["state"] == "fulfilled"
    assert delivery.alarms == []


async def test_a_whole_life_in_one_batch_leaves_the_agent_idle(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1"))

    await delivery.hear(reserve(order), assign(order), placed(order), completed(order))

    assert await delivery.stock() == {"A-1": "free"}
    assert await delivery.holdings() == {order: "fulfilled"}


async def test_who_has_delivered_can_be_had_by_who_asks_in_the_same_batch(delivery: Worker, order: UUID) -> None:
    next_one = uuid4()
    await delivery.hear(online("A-1"))
    await delivery.hear(reserve(order), assign(order), placed(order))

    assert await delivery.hear(completed(order), reserve(next_one)) == [AgentReserved(order_id=next_one)]
    assert await agent_of(delivery, next_one) == "A-1"


async def test_without_an_idle_agent_of_the_zone_there_is_none(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1", "elsewhere"))

    assert await delivery.hear(reserve(order)) == [refused(order, "no_agent")]


async def test_the_longest_idle_goes_first(delivery: Worker, order: UUID) -> None:
    for agent_id in ("A-2", "A-1"):
        await delivery.hear(online(agent_id))

    await delivery.hear(reserve(order))

    assert await agent_of(delivery, order) == "A-2"


async def test_who_has_delivered_goes_to_the_end_of_the_line(delivery: Worker, order: UUID) -> None:
    following = uuid4()
    for agent_id in ("A-1", "A-2"):
        await delivery.hear(online(agent_id))
    for message in (reserve(order), assign(order), placed(order), completed(order)):
        await delivery.hear(message)

    await delivery.hear(reserve(following))

    assert await agent_of(delivery, following) == "A-2"


async def test_who_has_delivered_within_one_batch_goes_to_the_end_of_the_line_too(
    delivery: Worker, order: UUID
) -> None:
    following = uuid4()
    for agent_id in ("A-1", "A-2"):
        await delivery.hear(online(agent_id))
    await delivery.hear(reserve(order), assign(order), placed(order), completed(order))

    await delivery.hear(reserve(following))

    assert await agent_of(delivery, following) == "A-2"


async def test_who_was_released_keeps_the_place_in_line(delivery: Worker, order: UUID) -> None:
    following = uuid4()
    for agent_id in ("A-1", "A-2"):
        await delivery.hear(online(agent_id))
    await delivery.hear(reserve(order))
    await delivery.hear(release(order))

    await delivery.hear(reserve(following))

    assert await agent_of(delivery, following) == "A-1"


async def test_a_duplicate_completion_does_not_free_the_agent_from_the_next_order(
    delivery: Worker, order: UUID
) -> None:
    following = uuid4()
    await delivery.hear(online("A-1"))
    await delivery.hear(reserve(order), assign(order), placed(order), completed(order))
    await delivery.hear(reserve(following), assign(following), placed(following))

    await delivery.hear(completed(order))

    assert await delivery.stock() == {"A-1": "confirmed"}


async def test_an_order_can_let_go_only_of_its_own_agent(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1"))
    await delivery.hear(reserve(order))

    async with delivery.database.transaction() as tx:
        await write(tx, [*Agents().move(Moves(given_back=[("A-1", uuid4())]))])

    assert await delivery.stock() == {"A-1": "reserved"}


async def test_an_order_can_take_only_an_idle_agent(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1"))
    await delivery.hear(reserve(order))
    other = uuid4()

    with pytest.raises(Collision):
        async with delivery.database.transaction() as tx:
            await write(tx, [*Agents().move(Moves(taken=[("A-1", other)], places={other: ZONE}))])

    assert await delivery.stock() == {"A-1": "reserved"}


async def test_release_before_reserve_leaves_a_tombstone(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1"))

    assert await delivery.hear(release(order)) == [AgentReleased(order_id=order)]
    assert await delivery.hear(reserve(order)) == [refused(order, "released")]
    assert await delivery.stock() == {"A-1": "free"}


async def test_coming_online_twice_changes_nothing(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1"))
    await delivery.hear(online("A-2"))
    await delivery.hear(online("A-1"))

    await delivery.hear(reserve(order))

    assert await agent_of(delivery, order) == "A-1"


async def test_an_idle_agent_changes_zones_at_once(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1", "elsewhere"))
    await delivery.hear(online("A-1"))

    assert await delivery.hear(reserve(order)) == [AgentReserved(order_id=order)]


async def test_a_busy_agent_changes_zones_afterwards(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1"))
    await delivery.hear(reserve(order))
    await delivery.hear(online("A-1", "elsewhere"))

    assert [row["place"] for row in await delivery.query("SELECT place FROM published.stock")] == [ZONE]
    await delivery.hear(release(order))
    assert [row["place"] for row in await delivery.query("SELECT place FROM published.stock")] == ["elsewhere"]


async def test_who_is_offline_is_not_sent(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1"))
    await delivery.hear(offline("A-1"))

    assert await delivery.hear(reserve(order)) == [refused(order, "no_agent")]
    assert await delivery.stock() == {"A-1": "offline"}


async def test_in_one_batch_the_last_word_counts(delivery: Worker) -> None:
    await delivery.hear(online("A-1"), offline("A-1"), offline("A-2"), online("A-2"))

    assert await delivery.stock() == {"A-1": "offline", "A-2": "free"}


async def test_going_offline_while_reserved_makes_the_assign_be_refused(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1"))
    await delivery.hear(reserve(order))
    await delivery.hear(offline("A-1"))

    assert await delivery.hear(assign(order)) == [refused(order, AGENT_OFFLINE)]
    assert await delivery.stock() == {"A-1": "offline"}
    assert delivery.alarms == []


@pytest.mark.parametrize("confirmed", [False, True])
async def test_going_offline_while_assigned_takes_effect_afterwards_with_an_alarm(
    delivery: Worker, order: UUID, confirmed: bool
) -> None:
    await delivery.hear(online("A-1"))
    await delivery.hear(reserve(order), assign(order), *([placed(order)] if confirmed else []))
    await delivery.hear(offline("A-1"))

    assert delivery.alarms == ["offline_while_assigned"]
    assert await delivery.hear(assign(order)) == [AgentAssigned(order_id=order, agent_id="A-1")]
    await delivery.hear(placed(order))
    assert await delivery.stock() == {"A-1": "confirmed"}
    await delivery.hear(completed(order))
    assert await delivery.stock() == {"A-1": "offline"}


async def test_who_leaves_an_order_without_a_reservation_is_nobodys(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1"))
    await delivery.hear(reserve(order))
    await delivery.execute("DELETE FROM reservation")

    async with asyncio.timeout(PATIENCE_SECONDS):
        await delivery.hear(offline("A-1"))

    assert delivery.alarms == ["held_without_reservation"]
    assert delivery.collisions == 0
    assert await delivery.stock() == {"A-1": "offline"}


async def test_who_is_back_before_the_assign_is_assigned(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1"))
    await delivery.hear(reserve(order))
    await delivery.hear(offline("A-1"))
    await delivery.hear(online("A-1"))

    assert await delivery.hear(assign(order)) == [AgentAssigned(order_id=order, agent_id="A-1")]


# Words that overtake each other


async def test_who_has_gone_home_is_not_brought_back_by_what_was_said_before(
    delivery: Worker, order: UUID, together: bool
) -> None:
    await delivery.hear(online("A-1", at=MORNING))

    await hear(delivery, together, offline("A-1", EVENING), online("A-1", at=NOON))

    assert await delivery.stock() == {"A-1": "offline"}
    assert await delivery.hear(reserve(order)) == [refused(order, "no_agent")]


async def test_who_is_back_is_not_hidden_by_what_was_said_before(delivery: Worker, order: UUID, together: bool) -> None:
    await delivery.hear(online("A-1", at=MORNING))

    await hear(delivery, together, online("A-1", at=EVENING), offline("A-1", NOON))

    assert await delivery.hear(reserve(order)) == [AgentReserved(order_id=order)]


async def test_who_was_never_heard_of_and_has_gone_is_not_brought_by_what_was_said_before(
    delivery: Worker, order: UUID, together: bool
) -> None:
    await hear(delivery, together, offline("A-1", EVENING), online("A-1", at=MORNING))

    assert await delivery.stock() == {"A-1": "offline"}
    assert await delivery.hear(reserve(order)) == [refused(order, "no_agent")]


async def test_who_was_only_heard_of_as_gone_comes_by_what_is_said_afterwards(
    delivery: Worker, order: UUID, together: bool
) -> None:
    await hear(delivery, together, offline("A-1", MORNING), online("A-1", at=EVENING))

    assert await delivery.hear(reserve(order)) == [AgentReserved(order_id=order)]


async def test_a_change_of_zones_is_not_undone_by_what_was_said_before(delivery: Worker, together: bool) -> None:
    await hear(delivery, together, online("A-1", "nord", EVENING), online("A-1", ZONE, MORNING))

    assert [row["place"] for row in await delivery.query("SELECT place FROM published.stock")] == ["nord"]


async def test_who_leaves_does_so_from_the_zone_that_was_said_last(delivery: Worker, together: bool) -> None:
    await delivery.hear(online("A-1", "nord", NOON))

    await hear(delivery, together, online("A-1", ZONE, MORNING), offline("A-1", EVENING))

    assert [row["place"] for row in await delivery.query("SELECT place FROM published.stock")] == ["nord"]


async def test_going_again_keeps_the_later_time(delivery: Worker, together: bool) -> None:
    """Who is offline anyway may have been back in between."""
    await hear(delivery, together, offline("A-1", MORNING), offline("A-1", EVENING), online("A-1", at=NOON))

    assert await delivery.stock() == {"A-1": "offline"}


async def test_what_is_said_again_is_true_again(delivery: Worker, together: bool) -> None:
    await hear(delivery, together, online("A-1", at=MORNING), online("A-1", at=MORNING))
    assert await delivery.stock() == {"A-1": "free"}

    await hear(delivery, together, offline("A-1", EVENING), offline("A-1", EVENING))
    assert await delivery.stock() == {"A-1": "offline"}


async def test_of_what_was_said_of_the_same_time_the_last_to_arrive_counts(delivery: Worker, together: bool) -> None:
    await hear(delivery, together, online("A-1", at=NOON), offline("A-1", NOON))
    await hear(delivery, together, offline("A-2", NOON), online("A-2", at=NOON))

    assert await delivery.stock() == {"A-1": "offline", "A-2": "free"}


async def test_what_is_said_without_a_time_is_said_now(delivery: Worker, together: bool) -> None:
    await hear(delivery, together, online("A-1"), offline("A-1"), online("A-1", at=NOON))
    await hear(delivery, together, offline("A-2"), online("A-2"), offline("A-2", NOON))
    await hear(delivery, together, offline("A-3"), online("A-3", at=NOON))

    assert await delivery.stock() == {"A-1": "offline", "A-2": "free", "A-3": "offline"}


async def test_what_is_said_without_a_time_is_heard_whatever_was_said_before(delivery: Worker, together: bool) -> None:
    """Also after a word from the future, and when the database's clock has been put back."""
    ahead = in_seconds(86_400)
    await hear(delivery, together, online("A-1", at=ahead), offline("A-1"))
    await hear(delivery, together, offline("A-2", ahead), online("A-2"))

    assert await delivery.stock() == {"A-1": "offline", "A-2": "free"}


async def test_a_clock_that_is_far_ahead_silences_nobody_for_long(delivery: Worker) -> None:
    await delivery.hear(online("A-1", at=datetime.max.replace(tzinfo=UTC)), offline("A-2", in_seconds(86_400)))

    ahead = await delivery.query("SELECT said_at <= clock_timestamp() + interval '1 minute' AS bounded FROM agent")
    assert [row["bounded"] for row in ahead] == [True, True]


async def test_what_a_clock_wrote_that_has_been_put_back_counts_as_not_said(delivery: Worker) -> None:
    await delivery.hear(online("A-1", at=NOON), offline("A-2", NOON))
    await delivery.execute("UPDATE agent SET said_at = clock_timestamp() + interval '1 day'")

    await delivery.hear(offline("A-1", in_seconds(0)), online("A-2", at=in_seconds(0)))
    assert await delivery.stock() == {"A-1": "offline", "A-2": "free"}

    await delivery.hear(online("A-1", at=in_seconds(-1)), offline("A-2", in_seconds(-1)))
    assert await delivery.stock() == {"A-1": "offline", "A-2": "free"}


async def test_a_clock_that_is_a_little_ahead_puts_its_words_in_order(delivery: Worker) -> None:
    await delivery.hear(online("A-1", at=in_seconds(50)))
    await delivery.hear(offline("A-1", in_seconds(40)))

    assert await delivery.stock() == {"A-1": "free"}


async def test_the_first_time_that_can_be_said_is_before_all_others(delivery: Worker) -> None:
    first = datetime.min.replace(tzinfo=UTC)
    await delivery.hear(online("A-1", at=first), offline("A-2", first))

    await delivery.hear(offline("A-1", first.replace(second=1)), online("A-2", at=first.replace(second=1)))
    await delivery.hear(online("A-1", at=first), offline("A-2", first))

    assert await delivery.stock() == {"A-1": "offline", "A-2": "free"}


async def test_of_whom_the_release_before_has_written_any_word_is_news(delivery: Worker) -> None:
    await delivery.execute(
        "INSERT INTO agent (agent_id, zone, online, idle_since) VALUES ('A-1', 'mitte', true, now()),"
        " ('A-2', 'mitte', false, now())"
    )

    await delivery.hear(offline("A-1", MORNING), online("A-2", at=MORNING))

    assert await delivery.stock() == {"A-1": "offline", "A-2": "free"}


async def test_an_old_word_takes_no_agent_from_an_order(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1", at=NOON))
    await delivery.hear(reserve(order), assign(order))

    await delivery.hear(offline("A-1", MORNING))

    assert delivery.alarms == []
    assert await delivery.stock() == {"A-1": "assigned"}
    await delivery.hear(placed(order), completed(order))
    assert await delivery.stock() == {"A-1": "free"}


async def test_that_an_agent_has_left_his_order_is_told_once(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1", at=MORNING))
    await delivery.hear(reserve(order), assign(order))

    for at in (NOON, NOON, EVENING, None):
        await delivery.hear(offline("A-1", at))

    assert delivery.alarms == ["offline_while_assigned"]


async def test_fulfilled_reservations_are_pruned_and_the_agent_works_on(delivery: Worker, order: UUID) -> None:
    following = uuid4()
    await delivery.hear(online("A-1"))
    await delivery.hear(reserve(order), assign(order), placed(order), completed(order))
    await delivery.hear(reserve(following))
    await delivery.execute("UPDATE reservation SET forget_at = forget_at - interval '2 days'")

    await delivery.run("prune")

    assert await delivery.holdings() == {following: "reserved"}
    assert await delivery.stock() == {"A-1": "reserved"}
