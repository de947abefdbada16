"""The conversation with delivery: one agent, reserved and assigned for an order."""

from typing import ClassVar

from messages.contracts.message import Identifier, Message, OrderMessage
from messages.contracts.participation import Assign, Assigned, Refused, Release, Released, Reserve, Reserved

DELIVERY = "delivery"

NO_AGENT = "no_agent"
AGENT_OFFLINE = "agent_offline"


class ReserveAgent(Reserve):
    """Hold one idle agent of the zone."""

    PARTICIPANT: ClassVar[str] = DELIVERY

    zone: Identifier


class AssignAgent(Assign):
    """Make the held agent the order's."""

    PARTICIPANT: ClassVar[str] = DELIVERY


class ReleaseAgent(Release):
    """Let the order's agent go."""

    PARTICIPANT: ClassVar[str] = DELIVERY


class AgentReserved(Reserved):
    """An agent is held."""

    PARTICIPANT: ClassVar[str] = DELIVERY


class AgentRefused(Refused):
    """No agent is held, and none will be."""

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
    """An agent is ready to work in a zone."""

    FROM_OUTSIDE: ClassVar[bool] = True

    agent_id: Identifier
    zone: Identifier


class AgentWentOffline(Message):
    """An agent stops working."""

    FROM_OUTSIDE: ClassVar[bool] = True

    agent_id: Identifier


class DeliveryCompleted(OrderMessage):
    """The customer has the food: the packets are gone and the agent is idle again."""

    FROM_OUTSIDE: ClassVar[bool] = True
