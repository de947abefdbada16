"""Gauges from a service's tables for Prometheus: all in one query, together with the database's clock."""

import time
from functools import lru_cache

from messages.transport import outbox, parked
from messages.transport.database.transactions import Transaction
from messages.transport.handled import Handled
from messages.transport.metrics import Metrics
from messages.transport.service import Measure, Service


def measures_of(service: Service) -> tuple[Measure, ...]:
    """The measures of the transport's own tables and of the service's."""
    return (*outbox.MEASURES, *parked.MEASURES, *service.measures)


async def measure(metrics: Metrics, tx: Transaction) -> Handled:
    """A job: sets every gauge whose value is in the database."""
    asked_at = time.time()
    ((there, *values),) = await tx.fetch(_question(tuple(metrics.measured.measures)))
    metrics.clock_offset.set(offset(asked_at, there, time.time()))
    metrics.measured.set(values)
    return Handled()


def offset(asked_at: float, there: float, answered_at: float) -> float:
    """How far the clock there is certainly ahead (or behind: negative), in seconds: it was read between both times."""
    return max(there - answered_at, 0.0) + min(there - asked_at, 0.0)


@lru_cache(maxsize=16)
def _question(measures: tuple[Measure, ...]) -> str:
    numbers = (f"({each.sql})::double precision" for each in measures)
    return f"SELECT {', '.join(['extract(epoch FROM clock_timestamp())::double precision', *numbers])}"  # noqa: S608
