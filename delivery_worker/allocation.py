"""What an order wants of the fleet, and when and why it is refused."""

from collections.abc import Sequence
from typing import NamedTuple

from messages.contracts.delivery import NO_AGENT, ReserveAgent
from messages.participant.allocation import Pool, Want

AGENT = "agent"


class Found(NamedTuple):
    """The agents found in a zone, locked if in a transaction; `visible`: how many were idle, up to those wanted."""

    zone: str
    agent_ids: Sequence[str]
    visible: int


def wants_of(reserve: ReserveAgent) -> list[Want]:
    return [Want((reserve.zone, AGENT), 1)]


def pool_of(found: Found) -> Pool:
    """Agents to give away. A shortage is certain if no idle agent was locked by others, nor taken while we waited."""
    return Pool(found.agent_ids, reason=NO_AGENT, complete=len(found.agent_ids) >= found.visible)
