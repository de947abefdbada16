"""Comings and goings of agents within one batch."""

from datetime import UTC, datetime, timedelta, timezone

from delivery_worker.shifts import Shift, fold, rounds
from messages.contracts.delivery import AgentCameOnline, AgentWentOffline

MORNING = datetime(2030, 5, 1, 8, tzinfo=UTC)
EVENING = datetime(2030, 5, 1, 17, tzinfo=UTC)


def online(agent_id: str, zone: str, at: datetime | None = None) -> AgentCameOnline:
    return AgentCameOnline(agent_id=agent_id, zone=zone, at=at)


def offline(agent_id: str, at: datetime | None = None) -> AgentWentOffline:
    return AgentWentOffline(agent_id=agent_id, at=at)


def test_the_last_word_counts() -> None:
    assert fold([offline("A-1"), online("A-1", "mitte"), online("A-1", "nord")]) == [Shift("A-1", "nord", online=True)]


def test_who_has_come_and_gone_is_remembered_with_the_zone() -> None:
    assert fold([online("A-1", "mitte"), offline("A-1")]) == [Shift("A-1", "mitte", online=False)]


def test_who_has_only_gone_stays_in_the_zone_he_was_in() -> None:
    assert fold([offline("A-1")]) == [Shift("A-1", None, online=False)]


def test_agents_come_in_the_order_of_their_ids() -> None:
    assert [shift.agent_id for shift in fold([online("A-2", "mitte"), offline("A-1")])] == ["A-1", "A-2"]


def test_what_was_said_last_counts_in_whatever_order_it_arrives() -> None:
    came, went = online("A-1", "mitte", MORNING), offline("A-1", EVENING)

    gone = [Shift("A-1", "mitte", online=False, at=EVENING, zone_at=MORNING)]
    assert fold([came, went]) == gone
    assert fold([went, came]) == gone


def test_who_came_back_is_there_although_his_leaving_arrives_last() -> None:
    back = online("A-1", "nord", EVENING)

    assert fold([back, offline("A-1", MORNING)]) == [Shift("A-1", "nord", online=True, at=EVENING, zone_at=EVENING)]


def test_of_words_of_the_same_time_the_last_to_arrive_counts() -> None:
    came, went = online("A-1", "mitte", MORNING), offline("A-1", MORNING)

    assert [shift.online for shift in fold([came, went, came])] == [True]
    assert [shift.online for shift in fold([came, went])] == [False]


def test_a_word_without_a_time_is_said_now_after_all_that_arrived_with_it() -> None:
    came, went = online("A-1", "mitte", MORNING), offline("A-1")

    gone = [Shift("A-1", "mitte", online=False, at=None, zone_at=MORNING)]
    assert fold([came, went]) == gone
    assert fold([went, came]) == gone


def test_a_time_that_arrives_after_a_missing_one_begins_another_round() -> None:
    came, went, other = online("A-1", "mitte"), offline("A-1", EVENING), online("A-2", "mitte", EVENING)

    assert rounds([came, other, went, other, came, went]) == [[came, other], [went, other, came], [went]]
    assert rounds([went, came, came, other]) == [[went, came, came, other]]


def test_times_are_compared_whatever_their_zones() -> None:
    """Eight in the morning, and ten of a zone two hours ahead, are the same."""
    elsewhere = MORNING.astimezone(timezone(timedelta(hours=2)))

    assert [shift.online for shift in fold([online("A-1", "mitte", elsewhere), offline("A-1", MORNING)])] == [False]
    assert [shift.online for shift in fold([offline("A-1", MORNING), online("A-1", "mitte", elsewhere)])] == [True]


def test_any_time_that_can_be_said_can_be_compared() -> None:
    first = datetime.min.replace(tzinfo=timezone(timedelta(hours=-14)))
    last = datetime.max.replace(tzinfo=timezone(timedelta(hours=14)))

    assert [shift.online for shift in fold([online("A-1", "mitte", last), offline("A-1", first)])] == [True]
