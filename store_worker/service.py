"""The store worker as the transport runs it."""

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
"""Packets."""
RETIRE_SHELVES = 2_000
BEFORE_ALL_SHELVES = ("", "")


def service(settings: Settings) -> Service:
    """The store worker's definition for the transport."""
    retiring = Retiring(settings.best_before_margin_seconds)
    return participant_service(
        NAME,
        participant(settings),
        settings,
        handlers=HANDLERS,
        handle_units=handle_goods,
        migrations=Path(__file__).parent / "migrations",
        jobs=[Job("retire", settings.retire_interval_seconds, retiring, low_priority=True)],
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


class Retiring:
    """Takes off the shelves what is too near its best-before.

    There may be as many shelves as stores times skus: each run continues behind the last shelf that it has finished.
    """

    def __init__(self, margin_seconds: float) -> None:
        self._margin_seconds = margin_seconds
        self._after = BEFORE_ALL_SHELVES

    async def __call__(self, tx: Transaction) -> Handled:
        retired = await queries.retire(tx, self._margin_seconds, self._after, RETIRE_SHELVES, RETIRE_BATCH)
        if retired.packets == RETIRE_BATCH:
            return Handled(more=True)
        self._after = retired.last or BEFORE_ALL_SHELVES
        return Handled(more=retired.last is not None)
