"""What is counted of decided orders: the outcome of each, its reason, and how long it took."""

from collections.abc import Iterable

from messages.contracts.order import DEADLINE_PASSED
from messages.contracts.views import NOT_PLACED, PLACED
from messages.transport.handled import Decided
from order_saga.state import Phase, Saga

DEADLINE_PASSED_BEFORE = "deadline_passed_before"
"""In place of `deadline_passed`: it had passed when the request was taken, and no participant was asked."""


def first_outcomes(changes: Iterable[tuple[Saga | None, Saga]]) -> list[Decided]:
    """Each order that these changes decide; a repeated outcome decides none."""
    return [
        _decided(after, (after.decided_at - after.accepted_at).total_seconds())
        for before, after in changes
        if after.decided_at is not None and (before is None or before.decided_at is None)
    ]


def _decided(saga: Saga, seconds: float) -> Decided:
    if saga.phase is Phase.PLACED:
        return Decided(PLACED, seconds=seconds)
    reason = saga.reason or ""
    if saga.standing:
        return Decided(NOT_PLACED, reason, seconds)
    return Decided(NOT_PLACED, DEADLINE_PASSED_BEFORE if reason == DEADLINE_PASSED else reason)
