"""Takes arrivals out of a subscription's buffer; a suspected poison message is taken alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from messages.transport.broker import FAILURES_BEFORE_ISOLATION, Arrival, Subscription


@dataclass(frozen=True, slots=True)
class Taken:
    """An arrival and the subscription that acknowledges it."""

    subscription: Subscription
    arrival: Arrival

    @property
    def documents(self) -> int:
        return self.arrival.body.count(b"\n") + 1 if self.arrival.is_envelope else 1

    @property
    def is_suspect(self) -> bool:
        """A suspected poison message: it failed more than twice, and is handled in a batch of its own."""
        return self.arrival.failures > FAILURES_BEFORE_ISOLATION


def take(subscription: Subscription, documents: int, size_bytes: int, *, at_least_one: bool = True) -> list[Taken]:
    """Take from the left, up to the caps; `at_least_one`: the first even if it exceeds them or must be alone."""
    batch: list[Taken] = []
    while subscription.arrived:
        taken = Taken(subscription, subscription.arrived[0])
        documents -= taken.documents
        size_bytes -= len(taken.arrival.body)
        fits = documents >= 0 and size_bytes >= 0 and not taken.is_suspect
        if not fits and (batch or not at_least_one):
            break
        batch.append(taken)
        subscription.arrived.popleft()
        if taken.is_suspect:
            break
    return batch


def head_is_suspect(subscription: Subscription) -> bool:
    """Whether the head is a suspect. Of two suspect heads one is drawn at random, so a harmless one gets its turn."""
    return bool(subscription.arrived) and Taken(subscription, subscription.arrived[0]).is_suspect


def is_isolated(taken: Sequence[Taken]) -> bool:
    """Whether this is a single suspect, beside which nothing is ever taken."""
    return len(taken) == 1 and taken[0].is_suspect
