"""Comings and goings of agents within one batch."""

from delivery_worker.shifts import Shift, fold
from messages.contracts.delivery import AgentCameOnline, AgentWentOffline


def online(agent_id: str, zone: str) -> AgentCameOnline:
    return AgentCameOnline(agent_id=agent_id, zone=zone)


def offline(agent_id: str) -> AgentWentOffline:
    return AgentWentOffline(agent_id=agent_id)


def test_the_last_word_counts() -> None:
    assert fold([offline("A-1"), online("A-1", "mitte"), online("A-1", "nord")]) == [Shift("A-1", "nord", online=True)]


def test_who_has_come_and_gone_is_remembered_with_the_zone() -> None:
    assert fold([online("A-1", "mitte"), offline("A-1")]) == [Shift("A-1", "mitte", online=False)]


def test_who_has_only_gone_stays_in_the_zone_he_was_in() -> None:
    assert fold([offline("A-1")]) == [Shift("A-1", None, online=False)]


def test_agents_come_in_the_order_of_their_ids() -> None:
    assert [shift.agent_id for shift in fold([online("A-2", "mitte"), offline("A-1")])] == ["A-1", "A-2"]
