"""Where agents are after a batch of comings and goings: the last word counts."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from messages.contracts.delivery import AgentCameOnline, AgentWentOffline


@dataclass(frozen=True, slots=True)
class Shift:
    """An agent is online, or not, in a zone; None: wherever he was."""

    agent_id: str
    zone: str | None
    online: bool


def fold(messages: Iterable[AgentCameOnline | AgentWentOffline]) -> list[Shift]:
    """What is true after all messages, one shift an agent, in the order of agent ids."""
    shifts: dict[str, Shift] = {}
    for message in messages:
        before = shifts.get(message.agent_id, Shift(message.agent_id, None, online=False))
        shifts[message.agent_id] = _after(before, message)
    return [shifts[agent_id] for agent_id in sorted(shifts)]


def _after(before: Shift, message: AgentCameOnline | AgentWentOffline) -> Shift:
    if isinstance(message, AgentCameOnline):
        return Shift(message.agent_id, message.zone, online=True)
    return replace(before, online=False)
