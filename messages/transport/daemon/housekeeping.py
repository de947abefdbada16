"""The transport's own jobs, which every service runs: relay, confirmed rows, replays, measures, partitions."""

import asyncio
from functools import partial

import structlog

from messages.transport import outbox, parked, timeline
from messages.transport.daemon.measuring import measure
from messages.transport.database.postgres import Database
from messages.transport.database.transactions import Transaction
from messages.transport.database.writing import write
from messages.transport.faults import one_line
from messages.transport.handled import Handled
from messages.transport.metrics import Metrics
from messages.transport.publisher import OutboxPublisher
from messages.transport.replay import Replay
from messages.transport.service import Job
from messages.transport.settings import Settings

log = structlog.get_logger(__name__)

RELAY_ROWS = 50
CONFIRMED_SECONDS = 1.0
REPLAY_SECONDS = 1.0
MEASURE_SECONDS = 20.0
ROTATE_SECONDS = 3_600.0
LAST_WORD_SECONDS = 1.0


def housekeeping(settings: Settings, publisher: OutboxPublisher, replay: Replay, metrics: Metrics) -> tuple[Job, ...]:
    async def relay(tx: Transaction) -> Handled:
        """Publish what a crash left unpublished: committed long ago, so there is no need to wait for this commit."""
        rows = await outbox.claim_overdue(tx, RELAY_ROWS, settings.relay_after_seconds)
        publisher.offer(rows)
        return Handled(more=len(rows) == RELAY_ROWS)

    async def delete_confirmed(_tx: Transaction) -> Handled:
        """Empty on purpose: every transaction deletes rows confirmed before it; this one runs when no batch does."""
        return Handled()

    rotate_partitions = partial(timeline.rotate_partitions, days_kept=settings.timeline_days)
    return (
        Job("relay", settings.relay_interval_seconds, relay, due=outbox.IS_ANY_OVERDUE),
        Job(
            "delete_confirmed",
            CONFIRMED_SECONDS,
            delete_confirmed,
            needed=lambda: publisher.some_confirmed,
            despite_backpressure=True,
        ),
        Job("replay", REPLAY_SECONDS, replay.next, due=parked.IS_ANY_TO_REPLAY),
        Job("measure", MEASURE_SECONDS, partial(measure, metrics), despite_backpressure=True),
        Job("rotate_partitions", ROTATE_SECONDS, rotate_partitions, despite_backpressure=True),
    )


async def delete_the_last(publisher: OutboxPublisher, database: Database) -> None:
    """When the process ends, delete the rows that were confirmed after the last batch."""
    confirmed = publisher.take_confirmed()
    if not confirmed:
        return
    try:
        async with asyncio.timeout(LAST_WORD_SECONDS), database.transaction() as tx:
            await write(tx, list(outbox.forget(confirmed)))
    except Exception as error:  # noqa: BLE001  then they are published twice, which is harmless
        log.warning("confirmed rows not deleted; the relay repeats them", error=one_line(error))
