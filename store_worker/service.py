"""The store worker as the transport runs it."""

from functools import partial
from pathlib import Path

from messages.contracts.participation import RESERVE, SETTLE
from messages.contracts.store import STORE, PacketsAssigned, PacketsRefused, PacketsReleased, PacketsReserved
from messages.participant import MIGRATIONS, sweeper
from messages.participant.handling import handle_for
from messages.participant.participant import Participant
from messages.participant.queries import TABLE
from messages.participant.reservation import Reservation
from messages.transport.memory import Memory
from messages.transport.service import Handled, Job, Service, Transaction
from store_worker import queries
from store_worker.handlers import HANDLERS, handle_goods
from store_worker.settings import Settings
from store_worker.units import Packets

NAME = "store_worker"
RETIRE_BATCH = 1_000


def service(settings: Settings) -> Service:
    """The store worker's definition for the transport."""
    store = participant(settings)
    memory = Memory[Reservation](TABLE)
    return Service(
        name=NAME,
        handlers=HANDLERS,
        handle=handle_for(store, memory, handle_goods),
        intake=RESERVE,
        first=SETTLE,
        locks="reservation",
        memory=memory,
        migrations=(MIGRATIONS, Path(__file__).parent / "migrations"),
        jobs=(
            *sweeper.jobs(store, settings),
            Job("retire", settings.retire_interval_seconds, partial(retire, settings.best_before_margin_seconds)),
        ),
    )


def participant(settings: Settings) -> Participant:
    """The store as a participant of the protocol: its units and its answers."""
    return Participant(
        name=STORE,
        units=Packets(settings.best_before_margin_seconds),
        terms=settings.terms,
        reserved=PacketsReserved,
        refused=PacketsRefused,
        assigned=lambda order_id, unit_ids: PacketsAssigned(order_id=order_id, packet_ids=unit_ids),
        released=PacketsReleased,
    )


async def retire(margin_seconds: float, tx: Transaction) -> Handled:
    """Take off the shelf what is too near its best-before."""
    return Handled(more=await queries.retire(tx, margin_seconds, RETIRE_BATCH) == RETIRE_BATCH)
