"""Publishes what was committed while the next batch is being handled, and tracks which rows may be deleted."""

import asyncio
from collections.abc import Collection, Iterable, Sequence

import structlog

from messages.transport.backoff import Backoff
from messages.transport.broker import Broker, Envelope
from messages.transport.cancelling import cancel
from messages.transport.log_throttle import KindThrottle
from messages.transport.outbox import Row, envelopes
from messages.transport.waiting import clear_and_wait

log = structlog.get_logger(__name__)

TRIES_BEFORE_AN_ERROR = 3
LOOK_SECONDS = 1.0
"""Polling interval: there is no event when the broker is back."""
TRIES_IN_PUBLIC = 6
"""About 30 s if no confirm comes, at most 6 s if a queue rejects. No more: clients repeat their requests, and with each
try the queues of all other clients get one more copy."""


class OutboxPublisher:
    """Publishes each row until it is confirmed; a relay publishes what a crash left.

    Outcomes go separately, with limited retries: a client's queue that never confirms must not block the rest.
    """

    def __init__(self, broker: Broker, unconfirmed_rows: int) -> None:
        self._broker = broker
        self._limit = unconfirmed_rows
        self._unconfirmed: dict[int, asyncio.Task[None]] = {}
        self._public: set[int] = set()
        self._given_up = 0
        self._confirmed: list[int] = []
        self._progress = asyncio.Event()
        self._log_throttle = KindThrottle()

    @property
    def unconfirmed(self) -> int:
        """Rows awaiting their confirm, except outcomes."""
        return len(self._unconfirmed) - len(self._public)

    @property
    def some_confirmed(self) -> bool:
        return bool(self._confirmed)

    def offer(self, rows: Sequence[Row]) -> None:
        """Publish these rows, together and in the background; rows already being published are skipped."""
        fresh = [row for row in rows if row.id not in self._unconfirmed]
        self._public.update(row.id for row in fresh if row.public)
        for public in (False, True):
            if lane := [row for row in fresh if row.public is public]:
                task = asyncio.create_task(self._publish(lane))
                self._unconfirmed.update((row.id, task) for row in lane)

    @property
    def has_capacity(self) -> bool:
        """Backpressure: whether fewer rows than the limit are unconfirmed.

        While disconnected outcomes count too: they are not given up then, and take memory.
        """
        return (self.unconfirmed if self._broker.connected else len(self._unconfirmed)) < self._limit

    async def wait_for_capacity(self) -> None:
        while not self.has_capacity:
            await clear_and_wait(self._progress, LOOK_SECONDS)

    def take_confirmed(self) -> list[int]:
        """Ids of confirmed rows. The caller deletes the rows, or gives the ids back."""
        taken, self._confirmed = self._confirmed, []
        return taken

    def take_given_up(self) -> int:
        """How many outcomes were given up unconfirmed since the last call."""
        taken, self._given_up = self._given_up, 0
        return taken

    def give_back(self, ids: Sequence[int]) -> None:
        self._confirmed.extend(ids)

    async def drain(self) -> None:
        """Wait until all that is being published is confirmed or given up."""
        if self._unconfirmed:
            await asyncio.wait(set(self._unconfirmed.values()))

    async def abandon(self) -> None:
        """Stop publishing; a relay publishes what is unconfirmed."""
        await cancel(*set(self._unconfirmed.values()))

    async def _publish(self, rows: Sequence[Row]) -> None:
        try:
            tries = TRIES_IN_PUBLIC if rows[0].public else None
            await self._until_confirmed([(row.id, envelope) for row in rows for envelope in envelopes(row)], tries)
        finally:
            self._forget(row.id for row in rows)

    async def _until_confirmed(self, waiting: list[tuple[int, Envelope]], tries: int | None) -> None:
        """Or until so many `tries` have failed while the broker was connected; None: for ever."""
        backoff = Backoff(base_seconds=0.2, cap_seconds=5.0)
        while waiting:
            results = await self._broker.publish([envelope for _, envelope in waiting])
            before = {row_id for row_id, _ in waiting}
            waiting = [pair for pair, confirmed in zip(waiting, results, strict=True) if not confirmed]
            self._confirm(before - {row_id for row_id, _ in waiting})
            if tries is not None and self._broker.connected:
                tries -= 1
                if not tries:
                    self._give_up(waiting)
                    return
            if waiting:
                self._report(waiting, backoff.tries)
                await asyncio.sleep(backoff.next_seconds())

    def _report(self, waiting: Sequence[tuple[int, Envelope]], tries: int) -> None:
        grave, addresses = tries >= TRIES_BEFORE_AN_ERROR, _addresses(waiting)
        suppressed = self._log_throttle.suppressed(grave, *addresses)
        if suppressed is not None:
            about = {"envelopes": len(waiting), "addresses": addresses, "tries": tries + 1, "suppressed": suppressed}
            (log.error if grave else log.warning)("not confirmed, publishing again", **about)

    def _give_up(self, waiting: Sequence[tuple[int, Envelope]]) -> None:
        if waiting:
            log.error("outcomes given up", envelopes=len(waiting), addresses=_addresses(waiting))
            self._given_up += len(waiting)
            self._confirm({row_id for row_id, _ in waiting})

    def _confirm(self, row_ids: Collection[int]) -> None:
        self._confirmed.extend(row_ids)
        self._forget(row_ids)

    def _forget(self, row_ids: Iterable[int]) -> None:
        for row_id in row_ids:
            self._unconfirmed.pop(row_id, None)
            self._public.discard(row_id)
        self._progress.set()


def _addresses(waiting: Sequence[tuple[int, Envelope]]) -> list[str]:
    return sorted({f"{envelope.to.exchange}/{envelope.to.key}" for _, envelope in waiting})
