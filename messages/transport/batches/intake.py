"""Which documents come next: answers before new work, new work while few enough orders are undecided, then reports."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence

from messages.transport.batches.acknowledging import Acknowledgements
from messages.transport.batches.pacing import Pace
from messages.transport.batches.reports import PREFETCH, Reports
from messages.transport.batches.stall_guard import StallGuard
from messages.transport.batches.taken import Taken, head_is_suspect, is_isolated, take
from messages.transport.batches.unconsumed import Unconsumed
from messages.transport.broker import Broker, Subscription
from messages.transport.waiting import clear_and_wait

CAPACITY_RETRY_SECONDS = 0.02
"""While too many orders are undecided: how long to wait for an answer before capacity is asked for again."""


class Intake:
    """The queues of a service. Answers are drained first: they complete orders, and so end an overload.

    A batch has at most so many documents and bytes. `capacity` returns how much new work may begin, and is asked again
    when that much has been taken; `pace` spaces out new work. `begins`: False leaves its queue alone. `Reports` says
    when those have their turn.
    """

    def __init__(
        self,
        *,
        batch_documents: int,
        batch_bytes: int,
        capacity: Callable[[], Awaitable[int]] | None = None,
        pace: Pace | None = None,
        begins: bool = True,
    ) -> None:
        self.batch_documents = batch_documents
        self._batch_bytes = batch_bytes
        self._ask_for_capacity = capacity
        self._capacity = 0
        self._pace = pace
        self._begins = begins
        self._arrived = asyncio.Event()
        self._subscriptions: list[Subscription] = []
        self._reports: Reports | None = None
        self._stall_guard = StallGuard(self._subscriptions)
        self._acknowledgements = Acknowledgements()

    async def subscribe(
        self, broker: Broker, priority: tuple[str, int], new_work: tuple[str, int], reports: str | None = None
    ) -> None:
        """Consume these queues, two with their prefetch; `priority` is always drained before `new_work`."""
        await self._consume(broker, *priority)
        if self._begins:
            await self._consume(broker, *new_work)
        else:
            self._subscriptions.append(Unconsumed(new_work[0]))
        if reports:
            self._reports = Reports(await self._consume(broker, reports, PREFETCH))

    @property
    def quiet(self) -> bool:
        """Whether no answer is waiting."""
        return not self._subscriptions or not self._priority.arrived

    @property
    def paused(self) -> bool:
        """Whether consuming is paused, so that messages go to other daemons."""
        return self._stall_guard.paused

    def expect_progress(self) -> None:
        """Start the stall timer, unless it runs: without progress in time, consuming is paused."""
        self._stall_guard.expect_progress()

    def waiting(self) -> Iterable[tuple[str, int]]:
        return ((each.queue, len(each.arrived)) for each in self._subscriptions)

    def wake(self) -> None:
        self._arrived.set()

    async def stop(self) -> None:
        self._stall_guard.cancel()
        for subscription in self._subscriptions:
            await subscription.stop()

    async def take(self) -> list[Taken]:
        """Take what has arrived, in order, within the caps. Waits for an arrival; may return nothing when woken."""
        if not await self._something_to_do():
            return []
        self._stall_guard.expect_progress()
        if self._reports is not None and self._are_next(self._reports):
            taken = self._reports.take()
        else:
            taken = await self._take_about_orders()
        if is_isolated(taken):
            await self.acknowledge_all()  # or it would be redelivered too, if this one kills the process
        if self._new_work.arrived and not taken:
            await self._stall_guard.progress()
            await self._arrival(CAPACITY_RETRY_SECONDS)
        return taken

    async def more(self, seconds: float, taken: Sequence[Taken]) -> list[Taken]:
        """Take from the first queue what arrives within `seconds` and fits beside `taken`; perhaps nothing."""
        if self.quiet:
            await self._arrival(seconds)
        documents, size_bytes = self._room_beside(taken)
        return take(self._priority, documents, size_bytes, at_least_one=False)

    async def acknowledge(self, batch: Sequence[Taken]) -> None:
        """Acknowledge a batch soon; it is finished."""
        if self._reports is not None and batch and batch[0].subscription is self._reports.subscription:
            self._reports.rest()
        await self._acknowledgements.add(batch)
        await self._stall_guard.progress()

    async def acknowledge_all(self) -> None:
        await self._acknowledgements.send()

    @property
    def _priority(self) -> Subscription:
        return self._subscriptions[0]

    @property
    def _new_work(self) -> Subscription:
        return self._subscriptions[1]

    async def _consume(self, broker: Broker, queue: str, prefetch: int) -> Subscription:
        self._subscriptions.append(await broker.subscribe(queue, prefetch, self._arrived.set))
        self._acknowledgements.expect_prefetch(prefetch)
        return self._subscriptions[-1]

    async def _something_to_do(self) -> bool:
        """Wait for work. False: new work may not begin yet after all, or there is none."""
        if self._something_has_arrived():
            return True
        self._arrived.clear()  # before consuming is resumed: meanwhile something may arrive
        await self._stall_guard.progress()
        if self._new_work.arrived:
            await self._arrival(self._wait_seconds())
        else:
            await self._arrived.wait()
        return self._something_has_arrived()

    def _something_has_arrived(self) -> bool:
        return self._orders_have_arrived() or (self._reports is not None and self._reports.have_arrived)

    def _orders_have_arrived(self) -> bool:
        """Whether there is an answer, or new work that may begin."""
        return not self.quiet or self._new_work_may_begin()

    def _new_work_may_begin(self) -> bool:
        return bool(self._new_work.arrived) and not self._wait_seconds()

    def _are_next(self, reports: Reports) -> bool:
        """Whether a batch of reports comes next: nothing else has arrived, or it is their turn all the same."""
        if not self._orders_have_arrived():
            return reports.have_arrived
        if head_is_suspect(reports.subscription) and any(map(head_is_suspect, (self._priority, self._new_work))):
            return random.choice((True, False))  # noqa: S311  a coin
        return reports.are_due

    def _wait_seconds(self) -> float:
        """Until new work may begin."""
        return self._pace.wait_seconds() if self._pace is not None else 0.0

    async def _take_about_orders(self) -> list[Taken]:
        priority, new_work = self._priority, self._new_work
        begins = self._new_work_may_begin()
        # Ask before taking: acknowledgements are cumulative, so whatever leaves the buffer must be handled.
        if begins and self._ask_for_capacity is not None and self._capacity <= 0:
            self._capacity = await self._ask_for_capacity()
        if head_is_suspect(priority) and head_is_suspect(new_work) and random.choice((True, False)):  # noqa: S311  a coin
            priority, new_work = new_work, priority
        taken = take(priority, self.batch_documents, self._batch_bytes)
        if begins and not is_isolated(taken):
            taken += self._take_new(new_work, taken)
        return taken

    def _take_new(self, new_work: Subscription, taken: Sequence[Taken]) -> list[Taken]:
        documents, size_bytes = self._room_beside(taken)
        if self._ask_for_capacity is not None:
            documents = min(documents, self._capacity)
        new = take(new_work, documents, size_bytes, at_least_one=not taken and documents > 0)
        begun = sum(each.documents for each in new)
        self._capacity -= begun
        if begun and self._pace is not None:
            self._pace.begin(begun)
        return new

    def _room_beside(self, taken: Sequence[Taken]) -> tuple[int, int]:
        """How many documents, and how many bytes, may still join these in a batch."""
        documents = self.batch_documents - sum(each.documents for each in taken)
        return documents, self._batch_bytes - sum(len(each.arrival.body) for each in taken)

    async def _arrival(self, seconds: float) -> None:
        """Wait until something arrives, for `seconds` at most."""
        await clear_and_wait(self._arrived, seconds)
