"""The delivery worker as the transport runs it."""

from pathlib import Path

from delivery_worker import queries
from delivery_worker.handlers import HANDLERS, handle_fleet
from delivery_worker.settings import Settings
from delivery_worker.units import Agents
from messages.contracts.delivery import DELIVERY, AgentAssigned, AgentRefused, AgentReleased, AgentReserved
from messages.participant.participant import Participant
from messages.participant.service import participant_service
from messages.transport.service import Service

NAME = "delivery_worker"


def service(settings: Settings) -> Service:
    """The delivery worker's definition for the transport."""
    return participant_service(
        NAME,
        participant(settings),
        settings,
        handlers=HANDLERS,
        handle_units=handle_fleet,
        migrations=Path(__file__).parent / "migrations",
        measures=queries.MEASURES,
    )


def participant(settings: Settings) -> Participant:
    """Delivery as a participant of the protocol: its units and its answers."""
    return Participant(
        name=DELIVERY,
        units=Agents(),
        timing=settings.timing,
        reserved=AgentReserved,
        refused=AgentRefused,
        assigned=lambda order_id, unit_ids: AgentAssigned(order_id=order_id, agent_id=unit_ids[0]),
        released=AgentReleased,
    )
