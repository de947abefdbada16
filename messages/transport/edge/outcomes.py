"""Outcomes, as they come out of the public edge: of all clients' orders, one document a message."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self
from uuid import UUID

import structlog

from messages.contracts.message import Message
from messages.contracts.order import OrderNotPlaced, OrderPlaced, RequestRejected
from messages.transport.broker import Arrival, Broker, Subscription
from messages.transport.document import Reader
from messages.transport.incoming import Incoming

log = structlog.get_logger(__name__)

OUTCOMES_AHEAD = 1_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """A received outcome, and the id of the message that caused it, if it has one."""

    message: Message
    causation_id: UUID | None


class Listener:
    """Reads a queue of its own, in which all outcomes arrive, also those of other clients' orders.

    Other clients with the same account can publish to the queue too: only what came through `outcomes` is an outcome.
    """

    def __init__(self, subscription: Subscription, news: asyncio.Event) -> None:
        self._subscription = subscription
        self._reader = Reader((OrderPlaced, OrderNotPlaced, RequestRejected))
        self._forgery_logged = False
        self.news = news
        """Set with each arrival; the waiting task clears it."""

    @classmethod
    async def on(cls, broker: Broker, queue: str) -> Self:
        news = asyncio.Event()
        return cls(await broker.subscribe(queue, OUTCOMES_AHEAD, news.set), news)

    async def take(self) -> list[Outcome]:
        """Take everything that has arrived; what cannot be read is skipped."""
        arrived = self._subscription.arrived
        taken = [arrived.popleft() for _ in range(len(arrived))]
        if taken:
            await self._subscription.acknowledge(taken[-1])
        return [outcome for arrival in taken for outcome in self._read(arrival)]

    def _read(self, arrival: Arrival) -> Iterator[Outcome]:
        if arrival.provenance.from_outside:
            self._log_forgery()
            return
        received = self._reader.read(arrival.body)
        if isinstance(received, Incoming):
            causation_id = json.loads(arrival.body).get("causation_id")
            yield Outcome(received.message, UUID(causation_id) if causation_id else None)

    def _log_forgery(self) -> None:
        """Once: who floods the queue does not flood the log."""
        if not self._forgery_logged:
            problem = "forged outcome ignored: it did not come through the exchange `outcomes`"
            log.error(problem, queue=self._subscription.queue)
            self._forgery_logged = True
