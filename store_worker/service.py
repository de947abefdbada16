"""The store worker as the transport runs it."""

from functools import partial
from pathlib import Path

from messages.contracts.store import STORE, PacketsAssigned, PacketsRefused, PacketsReleased, PacketsReserved
from messages.participant.participant import Participant
from messages.participant.service import participant_service
from messages.transport.database.transactions import Transaction
from messages.transport.handled import Handled
from messages.transport.service import Job, Service
from store_worker import queries
from store_worker.handlers import HANDLERS, handle_goods
from store_worker.settings import Settings
from store_worker.units import Packets

NAME = "store_worker"
RETIRE_BATCH = 1_000


def service(settings: Settings) -> Service:
    """The store worker's definition for the transport."""
    margin_seconds = settings.best_before_margin_seconds
    return participant_service(
        NAME,
        participant(settings),
        settings,
        handlers=HANDLERS,
        handle_units=handle_goods,
        migrations=Path(__file__).parent / "migrations",
        jobs=[Job("retire", settings.retire_interval_seconds, partial(retire, margin_seconds))],
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


async def retire(margin_seconds: float, tx: Transaction) -> Handled:
    """Take off the shelf what is too near its best-before."""
    return Handled(more=await queries.retire(tx, margin_seconds, RETIRE_BATCH) == RETIRE_BATCH)
