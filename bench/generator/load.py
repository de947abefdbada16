"""The open loop: publish what is due, read what has arrived, wait for whichever comes first."""

import select
import time
from array import array
from collections.abc import Callable
from resource import RUSAGE_SELF, getrusage

from bench.generator.amqp import Listener, Publisher
from bench.generator.documents import Documents, Outcome
from bench.generator.plan import Plan, Report, percentile
from messages.contracts.order import OrderRequested
from messages.transport.addresses import OUTCOMES, REQUESTS
from messages.transport.topology import listener

SAMPLE_SECONDS = 0.1
AT_ONCE = 500
"""Orders in one write, so that a burst does not keep the generator from reading."""
UNSENT_BYTES = 1_000_000
"""What the broker does not take is not prepared any further ahead than this."""
TICK_SECONDS = 0.001
FAST = 1_000.0
"""From so many orders a second on they are sent in ticks: late by a millisecond at most, and that is counted."""


class Load:
    """One run. `run` returns when every order is decided, or patience has ended."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.report = Report()
        self._documents = Documents(plan.seed)
        self._asks = plan.workload.asks()
        self._times = array("d", plan.times())
        self._outcome = bytearray(plan.orders)
        self._latency = array("d")
        self._lag = array("d")
        self._listener = Listener(plan.broker_url, OUTCOMES, dict(listener("bench").queues[0].arguments))
        self._publisher = Publisher(plan.broker_url, REQUESTS, OrderRequested.routing_key())
        self._before, self._after = self._publisher.template(len(self._documents.write(0, next(self._asks))))
        self._asks = plan.workload.asks()
        self._sampled = -SAMPLE_SECONDS
        self._tick = TICK_SECONDS if plan.orders_per_second > FAST else 0.0

    @property
    def all_sent(self) -> bool:
        return self._publisher.confirmed == self.plan.orders

    def run(self, on_all_sent: Callable[[], None]) -> Report:
        began = self.report.began = time.monotonic()
        cpu_before = _cpu_seconds()
        reported = False
        while not self._is_over(now := time.monotonic() - began):
            self._publish_due(now)
            self._sample(now)
            self._listen(self._wait_seconds(now), began)
            if self.all_sent and not reported:
                reported = True
                on_all_sent()
        self.report.cpu_seconds = _cpu_seconds() - cpu_before
        return self._finished()

    def _is_over(self, now: float) -> bool:
        decided = self.report.placed + self.report.not_placed
        if decided == self.plan.orders and self.all_sent:
            return True
        return now > self.plan.seconds + self.plan.patience_seconds

    def _publish_due(self, now: float) -> None:
        first, times = self.report.sent, self._times
        last = first
        if self._publisher.unsent_bytes < UNSENT_BYTES:
            most = min(len(times), first + AT_ONCE)
            while last < most and times[last] <= now:
                last += 1
        if last > first:
            frames = [self._frames(number) for number in range(first, last)]
            self._publisher.publish(frames)
            self._lag.extend(now - times[number] for number in range(first, last))
            self.report.sent = last

    def _frames(self, number: int) -> bytes:
        return self._before + self._documents.write(number, next(self._asks)) + self._after

    def _wait_seconds(self, now: float) -> float:
        if self.report.sent == self.plan.orders:
            return SAMPLE_SECONDS
        return min(max(self._times[self.report.sent] - now, self._tick), SAMPLE_SECONDS)

    def _listen(self, seconds: float, began: float) -> None:
        unsent = [self._publisher.socket] if self._publisher.unsent_bytes else []
        ready, writable, _ = select.select([self._publisher.socket, self._listener.socket], unsent, [], seconds)
        if writable:
            self._publisher.flush()
        if self._publisher.socket in ready:
            self._publisher.hear_confirms()
        if self._listener.socket in ready:
            bodies = self._listener.hear()
            now = time.monotonic() - began
            for body in bodies:
                if outcome := self._documents.read(body):
                    self._note(outcome, now)

    def _note(self, outcome: Outcome, now: float) -> None:
        report = self.report
        kind = 2 if outcome.reason else 1
        before = self._outcome[outcome.number]
        if before:
            report.contradictions += before != kind
            return
        self._outcome[outcome.number] = kind
        self._latency.append(now - self._times[outcome.number])
        report.seconds = now
        report.decided_while_sending += now <= self.plan.seconds
        if outcome.reason:
            report.reasons[outcome.reason] = report.reasons.get(outcome.reason, 0) + 1
        else:
            report.placed += 1

    def _sample(self, now: float) -> None:
        if now - self._sampled >= SAMPLE_SECONDS:
            self._sampled = now
            self.report.backlog.append((round(now, 3), self.report.sent - self.report.placed - self.report.not_placed))

    def _finished(self) -> Report:
        report, latency = self.report, sorted(self._latency)
        report.nacked = self._publisher.nacked
        if latency:
            shares = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
            report.latency_milliseconds = {
                name: round(percentile(latency, share) * 1000, 3) for name, share in shares.items()
            }
        if self._lag:
            report.lag_p99_milliseconds = round(percentile(sorted(self._lag), 0.99) * 1000, 3)
        self._publisher.close()
        self._listener.close()
        return report


def _cpu_seconds() -> float:
    used = getrusage(RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
