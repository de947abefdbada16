"""Where agents are after a batch of comings and goings: the message with the latest time counts."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from messages.contracts.delivery import AgentCameOnline, AgentWentOffline

NOW = datetime.max.replace(tzinfo=UTC)
"""Stands for a missing `at`: sorts after all others of its batch."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Whether an agent is online, in which zone (None: as before), and since when by the message (None: now)."""

    agent_id: str
    zone: str | None
    online: bool
    at: datetime | None = None
    zone_at: datetime | None = None
    """The same for the zone: if the agent has left since, the message that named it is older."""


def fold(messages: Iterable[AgentCameOnline | AgentWentOffline]) -> list[Shift]:
    """What is true after all messages, one shift an agent, in the order of agent ids."""
    shifts: dict[str, Shift] = {}
    for message in sorted(messages, key=_effective_at):  # those of the same time stay in order of arrival
        before = shifts.get(message.agent_id, Shift(message.agent_id, None, online=False))
        shifts[message.agent_id] = _after(before, message)
    return [shifts[agent_id] for agent_id in sorted(shifts)]


def _effective_at(message: AgentCameOnline | AgentWentOffline) -> datetime:
    return message.at or NOW


def _after(before: Shift, message: AgentCameOnline | AgentWentOffline) -> Shift:
    if isinstance(message, AgentCameOnline):
        return Shift(message.agent_id, message.zone, online=True, at=message.at, zone_at=message.at)
    return replace(before, online=False, at=message.at)
