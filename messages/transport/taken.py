"""What has been taken out of a buffer of arrivals, and what must not be taken together."""

from collections.abc import Sequence
from dataclasses import dataclass

from messages.transport.broker import FAILURES_BEFORE_ALONE, MANY_DOCUMENTS, Arrival, Subscription


@dataclass(frozen=True, slots=True)
class Taken:
    """An arrival and the subscription that acknowledges it."""

    subscription: Subscription
    arrival: Arrival

    @property
    def documents(self) -> int:
        return self.arrival.body.count(b"\n") + 1 if self.arrival.content_type == MANY_DOCUMENTS else 1

    @property
    def alone(self) -> bool:
        """It has killed its consumer more than twice, perhaps: nothing else shall go down with it."""
        return self.arrival.failures > FAILURES_BEFORE_ALONE


def take(subscription: Subscription, documents: int, size_bytes: int, *, may_be_more: bool = True) -> list[Taken]:
    """From the left, up to the caps; `may_be_more`: the first one even if it alone exceeds them."""
    batch: list[Taken] = []
    while subscription.arrived:
        taken = Taken(subscription, subscription.arrived[0])
        documents -= taken.documents
        size_bytes -= len(taken.arrival.body)
        fits = documents >= 0 and size_bytes >= 0
        if not fits and (batch or not may_be_more):
            break
        if taken.alone and (batch or not may_be_more):
            break
        batch.append(taken)
        subscription.arrived.popleft()
        if taken.alone:
            break
    return batch


def may_kill(subscription: Subscription) -> bool:
    """Of two such heads either may come first, or the one that does no harm would die with the one that does."""
    return bool(subscription.arrived) and Taken(subscription, subscription.arrived[0]).alone


def alone(taken: Sequence[Taken]) -> bool:
    """Nothing is ever taken beside what has to be alone."""
    return len(taken) == 1 and taken[0].alone
