"""Gauges from a service's tables for Prometheus: all in one query, together with the database's clock."""

import time
from functools import lru_cache

from messages.transport import outbox, parked
from messages.transport.database.clock_offset import CLOCK, ClockOffset
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
    metrics.clock_offset.set(ClockOffset.of(asked_at, there, time.time()).certain)
    metrics.measured.set(values)
    return Handled()


@lru_cache(maxsize=16)
def _question(measures: tuple[Measure, ...]) -> str:
    numbers = (f"({each.sql})::double precision" for each in measures)
    return f"SELECT {', '.join([CLOCK, *numbers])}"
