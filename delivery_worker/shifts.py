"""Where agents are after a batch of comings and goings: the message with the latest time counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeAlias

from messages.contracts.delivery import AgentCameOnline, AgentWentOffline

Told: TypeAlias = AgentCameOnline | AgentWentOffline
NOW = datetime.max.replace(tzinfo=UTC)
"""Stands for a missing `at`: sorts after all others of its round, which arrived before it."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Whether an agent is online, in which zone (None: as before), and since when by the message (None: now)."""

    agent_id: str
    zone: str | None
    online: bool
    at: datetime | None = None
    zone_at: datetime | None = None
    """The same for the zone: if the agent has left since, the message that named it is older."""


def rounds(messages: Iterable[Told]) -> list[Sequence[Told]]:
    """What can be folded at once: a time that arrives after a missing one is compared with the database's clock."""
    found: list[list[Told]] = [[]]
    told_now: set[str] = set()
    for message in messages:
        if message.at is None:
            told_now.add(message.agent_id)
        elif message.agent_id in told_now:
            found.append([])
            told_now.clear()
        found[-1].append(message)
    return [*found]


def fold(messages: Iterable[Told]) -> list[Shift]:
    """What is true after all messages of a round, one shift an agent, in the order of agent ids."""
    shifts: dict[str, Shift] = {}
    for message in sorted(messages, key=_effective_at):  # those of the same time stay in order of arrival
        before = shifts.get(message.agent_id, Shift(message.agent_id, None, online=False))
        shifts[message.agent_id] = _after(before, message)
    return [shifts[agent_id] for agent_id in sorted(shifts)]


def _effective_at(message: Told) -> datetime:
    return message.at or NOW


def _after(before: Shift, message: Told) -> Shift:
    if isinstance(message, AgentCameOnline):
        return Shift(message.agent_id, message.zone, online=True, at=message.at, zone_at=message.at)
    return replace(before, online=False, at=message.at)
