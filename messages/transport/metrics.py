"""A service's Prometheus metrics. No order ids in labels; the scrape's job label names the service."""

from collections import Counter as Tally
from collections.abc import Iterable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
DOCUMENTS = (1, 2, 5, 10, 20, 50, 100, 200, 500)

MOST_PARKED = 10_000
"""More are not counted: an exact number would be of no use."""


MOST_OUTCOMES = 64
"""Pairs of outcome and reason with a series of their own: reasons come from other services, which may add any."""
OTHER = "other"


class Metrics:
    """One registry a service, so that several services can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.heard = ByType(self._counter("messages_heard", "Documents handled, by type.", "type"))
        self.said = ByType(self._counter("messages_said", "Documents kept in the outbox, by type.", "type"))
        self.parked = self._counter("messages_parked", "Documents parked, by reason.", "reason")
        self.outcomes = Outcomes(self._counter("outcomes", "Orders decided, each once.", "outcome", "reason"))
        self.alarms = self._counter("alarms", "Things a person should look at.", "alarm")
        self.retries = self._counter("batch_retries", "Batches tried again, by the class of error.", "error")
        self.jobs = self._counter("job_runs", "Runs of scheduled jobs.", "job", "result")
        self.batch_seconds = self._histogram("batch_seconds", "From taking a batch to having it committed.", SECONDS)
        self.batch_documents = self._histogram("batch_documents", "Documents a batch.", DOCUMENTS)
        self.unconfirmed_rows = self._gauge("outbox_unconfirmed_rows", "Outbox rows awaiting a confirm, save outcomes.")
        self.given_up = Counter("ordersaga_outcomes_given_up", "Outcomes never confirmed.", registry=self.registry)
        self.waiting = self._gauge("messages_waiting", "AMQP messages delivered and not yet taken.", "queue")
        self.parked_documents = self._gauge("parked_documents", f"Documents that are parked; at most {MOST_PARKED}.")
        self.standing_by = self._gauge("standing_by", "1 while a batch is held too long to consume more.")
        self.connected = self._gauge(
            "connected", "1 while the server is reached; no series before it is tried.", "server"
        )
        self.migrated = self._gauge("migrated", "1 once every migration is found applied; nothing is done before.")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"ordersaga_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"ordersaga_{name}", text, buckets=buckets, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"ordersaga_{name}", text, labels, registry=self.registry)


class ByType:
    """Counts objects by the names of their types. Looking up a label costs more than counting, so it is done once."""

    def __init__(self, counter: Counter) -> None:
        self._of = cache(lambda kind: counter.labels(kind.__name__))

    def count(self, objects: Iterable[object]) -> None:
        for kind, number in Tally(map(type, objects)).items():
            self._of(kind).inc(number)


class Outcomes:
    """Counts outcomes by reason, in a limited number of series: all further reasons count as `other`."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._of: dict[tuple[str, str], Counter] = {}

    def count(self, outcomes: Iterable[tuple[str, str]]) -> None:
        for pair, number in Tally(outcomes).items():
            (self._of.get(pair) or self._another(*pair)).inc(number)

    def _another(self, outcome: str, reason: str) -> Counter:
        if len(self._of) >= MOST_OUTCOMES:
            return self._counter.labels(outcome, OTHER)
        return self._of.setdefault((outcome, reason), self._counter.labels(outcome, reason))
