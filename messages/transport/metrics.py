"""A service's Prometheus metrics. No order ids in labels; the scrape's job label names the service."""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from messages.transport.handled import Decided
from messages.transport.service import Measure
from messages.transport.version import version

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
DECISION_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 300)
DOCUMENTS = (1, 2, 5, 10, 20, 50, 100, 200, 500)

MOST_OUTCOMES = 64
"""Pairs of outcome and reason with a series of their own: reasons come from other services, which may add any."""
OTHER = "other"


class Metrics:
    """One registry a service, so that several services can live in one process."""

    def __init__(self, measures: Sequence[Measure] = ()) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        Info("ordersaga_build", "The running release.", registry=self.registry).info({"version": version()})
        self.received = ByType(self._counter("messages_received", "Documents handled, by type.", "type"))
        self.sent = ByType(self._counter("messages_sent", "Documents put into the outbox, by type.", "type"))
        self.parked = self._counter("messages_parked", "Documents parked, by reason.", "reason")
        self.outcomes = Outcomes(
            self._counter("outcomes", "Orders decided, each once.", "outcome", "reason"),
            self._histogram("decision_seconds", "From accepting an order to deciding it.", DECISION_SECONDS, "outcome"),
        )
        self.alarms = self._counter("alarms", "Alarms, each for a person to look at.", "alarm")
        self.retries = self._counter("batch_retries", "Batches retried, by the class of error.", "error")
        self.jobs = self._counter("job_runs", "Runs of scheduled jobs.", "job", "result")
        self.batch_seconds = self._histogram("batch_seconds", "From taking a batch to its commit.", SECONDS)
        self.batch_documents = self._histogram("batch_documents", "Documents in a batch.", DOCUMENTS)
        self.unconfirmed_rows = self._gauge("outbox_unconfirmed_rows", "Unconfirmed outbox rows, except outcomes.")
        self.unconfirmed_rows_limit = self._gauge("outbox_unconfirmed_rows_limit", "At this many no message is taken.")
        self.given_up = Counter("ordersaga_outcomes_given_up", "Outcomes given up unconfirmed.", registry=self.registry)
        self.log_lines_dropped = self._counter("log_lines_dropped", "Log lines dropped, because nobody read them.")
        self.waiting = self._gauge("messages_waiting", "AMQP messages delivered, but not yet taken.", "queue")
        self.paused = self._gauge("consumers_paused", "1 while a stuck batch or a full outbox pauses consuming.")
        self.connected = self._gauge(
            "connected", "1 while the server is reachable; no series for one that is not connected to yet.", "server"
        )
        self.migrated = self._gauge("migrated", "1 once all migrations are applied; before, no work is done.")
        self.clock_offset = self._gauge(
            "database_clock_offset_seconds", "How far the database's clock is ahead at least; negative: behind."
        )
        self.measured = Measured(measures, self._gauge)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"ordersaga_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"ordersaga_{name}", text, labels, buckets=buckets, registry=self.registry)

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

    def __init__(self, counter: Counter, seconds: Histogram) -> None:
        self._counter = counter
        self._of: dict[tuple[str, str], Counter] = {}
        self._seconds_of = cache(seconds.labels)

    def count(self, decided: Sequence[Decided]) -> None:
        for pair, number in Tally((outcome, reason) for outcome, reason, _ in decided).items():
            (self._of.get(pair) or self._another(*pair)).inc(number)
        for outcome, _, seconds in decided:
            if seconds is not None:
                self._seconds_of(outcome).observe(seconds)

    def _another(self, outcome: str, reason: str) -> Counter:
        if len(self._of) >= MOST_OUTCOMES:
            return self._counter.labels(outcome, OTHER)
        return self._of.setdefault((outcome, reason), self._counter.labels(outcome, reason))


class Measured:
    """Gauges whose values are queried from tables. Measures with the same name share a gauge and differ in labels."""

    def __init__(self, measures: Sequence[Measure], gauge: Callable[..., Gauge]) -> None:
        self.measures = measures
        by_name = {each.name: each for each in measures}
        gauges = {name: gauge(name, each.text, *dict(each.labels)) for name, each in by_name.items()}
        self._of = [_labelled(gauges[each.name], dict(each.labels)) for each in measures]

    def set(self, values: Iterable[float]) -> None:
        """One value for each measure, in their order."""
        for gauge, value in zip(self._of, values, strict=True):
            gauge.set(value)


def _labelled(gauge: Gauge, labels: Mapping[str, str]) -> Gauge:
    return gauge.labels(**labels) if labels else gauge
