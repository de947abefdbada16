"""What an order wants of the fleet, and what may be said when it cannot be had."""

from collections.abc import Sequence
from typing import NamedTuple

from messages.contracts.delivery import NO_AGENT, ReserveAgent
from messages.participant.allocation import Pool, Want

AGENT = "agent"


class Found(NamedTuple):
    """Agents of a zone that were found, in a transaction locked; `visible`: how many were idle, up to those wanted."""

    zone: str
    agent_ids: Sequence[str]
    visible: int


def wants_of(reserve: ReserveAgent) -> list[Want]:
    return [Want((reserve.zone, AGENT), 1)]


def pool_of(found: Found, *, waiting: bool) -> Pool:
    """Agents to give away. The miss is real if nobody who was idle was locked by somebody else, or if we waited."""
    return Pool(found.agent_ids, reason=NO_AGENT, complete=waiting or len(found.agent_ids) >= found.visible)
