"""The conversation with delivery: one agent, reserved and assigned for an order."""

from typing import ClassVar

from messages.contracts.message import GivenTime, Identifier, Message
from messages.contracts.participation import Assign, Assigned, Refused, Release, Released, Reserve, Reserved

DELIVERY = "delivery"

NO_AGENT = "no_agent"
AGENT_OFFLINE = "agent_offline"
"""Written by the view `unfit`, in the worker's migrations."""


class ReserveAgent(Reserve):
    """Hold one idle agent of the zone."""

    zone: Identifier


class AssignAgent(Assign):
    """Make the held agent the order's."""


class ReleaseAgent(Release):
    """Let the order's agent go."""


class AgentReserved(Reserved):
    """An agent is held."""

    PARTICIPANT: ClassVar[str] = DELIVERY


class AgentRefused(Refused):
    """The order does not get an agent: none is idle, or the one it had has gone offline."""

    PARTICIPANT: ClassVar[str] = DELIVERY


class AgentAssigned(Assigned):
    """The named agent is the order's."""

    PARTICIPANT: ClassVar[str] = DELIVERY

    agent_id: Identifier

    @property
    def unit_ids(self) -> tuple[Identifier, ...]:
        return (self.agent_id,)


class AgentReleased(Released):
    """No agent is the order's."""

    PARTICIPANT: ClassVar[str] = DELIVERY


class AgentCameOnline(Message):
    """An agent is ready to work in a zone, since `at`, by the sender's clock.

    A message about an agent that is older than the last one applied is ignored; one of the same time is applied.
    Without `at` a message counts as sent when it is handled, replays too: it is always applied, and older ones are
    ignored from then on. A time more than a minute ahead of the database's clock counts as a minute ahead.
    """

    VERSION: ClassVar[str] = "1.1"
    FROM_OUTSIDE: ClassVar[bool] = True

    agent_id: Identifier
    zone: Identifier
    at: GivenTime | None = None


class AgentWentOffline(Message):
    """An agent is no longer working, as of `at`; AgentCameOnline says what `at` means."""

    VERSION: ClassVar[str] = "1.1"
    FROM_OUTSIDE: ClassVar[bool] = True

    agent_id: Identifier
    at: GivenTime | None = None
