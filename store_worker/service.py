"""The store worker as the transport runs it."""

from pathlib import Path

from messages.contracts.store import STORE, PacketsAssigned, PacketsRefused, PacketsReleased, PacketsReserved
from messages.participant.participant import Participant
from messages.participant.service import participant_service
from messages.transport.service import Service
from store_worker import retiring
from store_worker.handlers import HANDLERS, handle_goods
from store_worker.settings import Settings
from store_worker.units import Packets

NAME = "store_worker"


def service(settings: Settings) -> Service:
    """The store worker's definition for the transport."""
    return participant_service(
        NAME,
        participant(settings),
        settings,
        handlers=HANDLERS,
        handle_units=handle_goods,
        migrations=Path(__file__).parent / "migrations",
        jobs=retiring.jobs(settings),
    )


def participant(settings: Settings) -> Participant:
    """The store as a participant of the protocol: its units and its answers."""
    return Participant(
        name=STORE,
        units=Packets(settings.best_before_margin_seconds),
        timing=settings.timing,
        reserved=PacketsReserved,
        refused=PacketsRefused,
        assigned=lambda order_id, unit_ids: PacketsAssigned(order_id=order_id, packet_ids=unit_ids),
        released=PacketsReleased,
    )
