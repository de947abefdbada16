"""Scheduled work on packets: takes off the shelves what is too near its best-before."""

from messages.transport.database.transactions import Transaction
from messages.transport.handled import Handled
from messages.transport.service import Job
from store_worker import queries
from store_worker.settings import Settings

BATCH = 1_000
"""Packets."""
SHELVES = 2_000
BEFORE_ALL_SHELVES = ("", "")


def jobs(settings: Settings) -> list[Job]:
    retiring = Retiring(settings.best_before_margin_seconds)
    return [Job("retire", settings.retire_interval_seconds, retiring, low_priority=True)]


class Retiring:
    """Retires packets shelf by shelf.

    There may be as many shelves as stores times skus: each run continues behind the last shelf that it has finished.
    """

    def __init__(self, margin_seconds: float) -> None:
        self._margin_seconds = margin_seconds
        self._after = BEFORE_ALL_SHELVES

    async def __call__(self, tx: Transaction) -> Handled:
        retired = await queries.retire(tx, self._margin_seconds, self._after, SHELVES, BATCH)
        if retired.packets == BATCH:
            return Handled(more=True)
        self._after = retired.last or BEFORE_ALL_SHELVES
        return Handled(more=retired.last is not None)
