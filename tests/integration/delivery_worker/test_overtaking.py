"""Words of agents that overtake each other: what was said last counts, in whatever order it arrives."""

from uuid import UUID

import pytest

from messages.contracts.delivery import AgentCameOnline, AgentReserved, AgentWentOffline
from tests.integration.delivery_worker.messages import (
    EVENING,
    MORNING,
    NOON,
    ZONE,
    assign,
    completed,
    offline,
    online,
    placed,
    refused,
    reserve,
)
from tests.integration.workers import Worker, heard, in_seconds


@pytest.fixture(params=[True, False], ids=["in one batch", "one after the other"])
def together(request: pytest.FixtureRequest) -> bool:
    """Whether what is said arrives in one batch."""
    is_together: bool = request.param
    return is_together


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


async def test_a_clock_that_is_ahead_is_later_than_now_for_who_is_told_of_without_a_time_first(
    delivery: Worker, together: bool
) -> None:
    """Without a time means when it is handled, and what comes after that is newer."""
    await hear(delivery, together, online("A-1"), offline("A-1", in_seconds(30)))
    await hear(delivery, together, offline("A-2"), online("A-2", at=in_seconds(30)))
    await hear(delivery, together, offline("A-3", in_seconds(30)), online("A-3"))

    assert await delivery.stock() == {"A-1": "offline", "A-2": "free", "A-3": "free"}


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
    await delivery.hear(reserve(order), assign(order), placed(order))

    for at in (NOON, NOON, EVENING, None):
        await delivery.hear(offline("A-1", at))

    assert delivery.alarms == ["offline_while_confirmed"]


async def test_an_alarm_names_the_word_by_which_the_agent_left_and_no_older_one(delivery: Worker, order: UUID) -> None:
    await delivery.hear(online("A-1", at=MORNING))
    await delivery.hear(reserve(order), assign(order), placed(order))

    left, overtaken = heard(offline("A-1", EVENING)), heard(online("A-1", at=NOON))
    await delivery.hear_documents([left, overtaken])

    assert [alarm.cause for handled in delivery.handled for alarm in handled.alarms] == [left]


async def hear(delivery: Worker, together: bool, *messages: AgentCameOnline | AgentWentOffline) -> None:
    for batch in [messages] if together else [(message,) for message in messages]:
        await delivery.hear(*batch)
