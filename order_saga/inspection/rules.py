"""What must be true across the services, as pure functions over what was read.

I1 truth, I2 exclusivity, I3 conservation, I4 termination, I5 finality, I6 nothing lost.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from typing import TypeAlias

from messages.contracts.views import ASSIGNED, CONFIRMED, FULFILLED, HELD, NOT_PLACED, PLACED, RESERVED, Holding, Order
from messages.transport.command_line.printing import aware, counted
from order_saga.inspection.evidence import Account, Census, Finding, Moment, Share

PRUNED_AFTER = timedelta(days=1)
"""How long after its deadline a fulfilled order's reservation may be gone. No setting makes a worker prune sooner."""
CONFIRMED_WITHIN = timedelta(seconds=120)
"""How soon a participant knows that an order is placed: if not told, it asks, and no setting makes it ask later."""
DELIVERED_WITHIN = timedelta(hours=1)
"""How soon after another one a participant hears of the delivery. Nothing bounds how long that waits in `reports`, but
behind a million packets it is minutes."""
OUTCOME_OF = {"placed": PLACED, "releasing": NOT_PLACED, "closed": NOT_PLACED}
"""By phase: the daemons go by the phase, their jobs and everybody else by the outcome."""

SHOWN = 5
"""Names in one sentence."""

Wrong: TypeAlias = Iterator[tuple[str, str]]


def check_order(account: Account, moment: Moment) -> Iterator[Finding]:
    """Yield what is wrong with one order."""
    order = account.order
    for participant, share in account.shares.items():
        wrong = chain(_wrong_with_share(order, share, moment), _delivered_elsewhere(account, share, moment))
        for invariant, sentence in wrong:
            worker = share.participant.worker
            yield Finding(invariant, f"{participant}: {sentence}", order_id=account.order_id, service=worker)
    if order is not None:
        for invariant, sentence in _wrong_with_order(order, moment):
            yield Finding(invariant, sentence, order_id=account.order_id)


def check_service(census: Census) -> Iterator[Finding]:
    """Yield what is wrong in one service beyond single orders."""
    for (place, kind, received), present in census.stock:
        if received != present:
            sentence = f"{place} should have {received} of {kind}, sold or not, but has {present}"
            yield Finding("I3", sentence, service=census.service)
    if census.unpublished:
        sentence = f"stuck in the outbox: {counted(census.unpublished, 'envelope')}"
        yield Finding("I6", sentence, service=census.service)
    for parked in census.parked:
        sentence = f"parked: {parked.type or 'a document'} from {parked.queue}: {parked.reason}, {parked.detail}"
        yield Finding("I6", sentence, order_id=parked.order_id, service=census.service)


def _wrong_with_order(order: Order, moment: Moment) -> Wrong:
    if order.damaged:
        yield "I5", f"{' and '.join(order.damaged)} cannot be read"
    if order.outcome != OUTCOME_OF.get(order.phase):
        yield "I5", f"outcome {order.outcome}, but the order is {order.phase}"
    if (order.outcome is None) != (order.decided_at is None):
        yield "I5", f"outcome {order.outcome}, but decided at {order.decided_at}"
    if order.told - {order.outcome}:
        yield "I5", f"outcome {order.outcome}, but the customer was told {' and '.join(sorted(order.told))}"
    if order.outcome is None and (moment.is_overdue(order.deadline) or moment.is_to_come(order.accepted_at)):
        yield "I4", f"still undecided ({order.phase}), due at {order.deadline}"
    if order.outcome == NOT_PLACED and order.cleaned_at is None and moment.is_past(order.decided_at):
        yield "I4", f"not placed since {order.decided_at}, but not released by every participant ({order.phase})"


def _wrong_with_share(order: Order | None, share: Share, moment: Moment) -> Wrong:
    yield from _rows_and_units_disagree(share)
    if order is None:
        yield from _unknown_order(share, moment)
    elif order.outcome == PLACED:
        yield from _placed(order, share, moment)
    else:
        yield from _not_placed(order, share)
    if share.state == RESERVED and share.holding and _should_be_over(share.holding, moment):
        yield "I3", f"still reserved, with a lease until {share.holding.expires_at}"


def _should_be_over(reserved: Holding, moment: Moment) -> bool:
    return moment.is_overdue(reserved.expires_at) or moment.is_to_come(reserved.changed_at)


def _delivered_elsewhere(account: Account, share: Share, moment: Moment) -> Wrong:
    """At rest, too, it may still be in the queue: it comes from a client, who may have sent it at last."""
    if share.state != CONFIRMED:
        return
    others = (other.holding for other in account.shares.values() if other.state == FULFILLED)
    delivered_at = min((holding.changed_at for holding in others if holding), default=None)
    if delivered_at and replace(moment, at_rest=False).is_past(delivered_at, DELIVERED_WITHIN):
        yield "I3", f"still confirmed, though delivered at {delivered_at}"


def _placed(order: Order, share: Share, moment: Moment) -> Wrong:
    if share.state in (ASSIGNED, CONFIRMED, FULFILLED):
        yield from _not_as_promised(order, share)
        yield from _not_as_wanted(order, share)
    elif share.holding is not None or (_took_part(order, share) and not _may_be_pruned(order, moment)):
        yield "I1", f"the order is placed, but its reservation here is {share.state}"
    if share.state == ASSIGNED and moment.is_past(order.decided_at, CONFIRMED_WITHIN):
        yield "I3", f"still assigned, though the order was placed at {order.decided_at}"


def _not_placed(order: Order, share: Share) -> Wrong:
    if share.state in (CONFIRMED, FULFILLED):
        yield "I3", f"{share.state}, but the order is {order.outcome or 'undecided'}"
    elif share.state in HELD:
        if order.cleaned_at is not None:
            yield "I3", f"{_names(share.listed)} {share.state} for an order that every participant has released"
        yield from _more_than_wanted(order, share)


def _unknown_order(share: Share, moment: Moment) -> Wrong:
    if share.holding and share.state in (*HELD, FULFILLED) and moment.is_past(share.holding.changed_at):
        yield "I3", f"{_names(share.holding.unit_ids)} {share.state} for an order that the order saga does not know"


def _rows_and_units_disagree(share: Share) -> Wrong:
    """One database, read in one snapshot: no message on its way can explain a difference."""
    listed, carried = share.listed, share.carried
    if carried - listed:
        yield "I3", f"{_names(carried - listed)} held, but the reservation is {share.state} without them"
    if listed - carried:
        yield "I2", f"{_names(listed - carried)} {share.state}, but held by another order or by none"


def _not_as_promised(order: Order, share: Share) -> Wrong:
    promised = frozenset(order.granted.get(share.participant.name, ()))
    has = frozenset(share.holding.unit_ids) if share.holding else frozenset()
    if promised != has:
        yield "I1", f"{_names(promised)} promised to the customer, but {_names(has)} {share.state}"


def _not_as_wanted(order: Order, share: Share) -> Wrong:
    wanted = _wanted(order, share)
    if wanted is None or share.holding is None:
        return
    number, kinds = len(share.holding.unit_ids), share.kinds
    if number != sum(wanted.values()):
        yield "I1", f"{number} units {share.state}, but {sum(wanted.values())} wanted"
    elif kinds and kinds != wanted and (missing := Counter(wanted) - Counter(kinds)):
        yield "I1", f"{_amounts(missing)} missing"
    yield from _elsewhere(order, share)
    yield from _more_than_wanted(order, share)


def _elsewhere(order: Order, share: Share) -> Wrong:
    """A unit may move once it is let go, so one that still carries the order's id is where it was taken."""
    place = share.participant.place(order)
    elsewhere = [unit.unit_id for unit in share.units if unit.place != place]
    if elsewhere and place is not None:
        yield "I1", f"{_names(elsewhere)} from another place than {place}"


def _more_than_wanted(order: Order, share: Share) -> Wrong:
    wanted, kinds = _wanted(order, share), share.kinds
    if wanted is not None and kinds != wanted and (more := Counter(kinds) - Counter(wanted)):
        yield "I2", f"{_amounts(more)} more than requested"


def _wanted(order: Order, share: Share) -> Mapping[str, int] | None:
    """None: what the order was about has been forgotten."""
    return share.participant.wanted(order) if order.quantities else None


def _took_part(order: Order, share: Share) -> bool:
    """A participant that is registered later takes no part in orders that are placed by then; but somebody did."""
    return share.participant.name in order.granted or not order.granted


def _may_be_pruned(order: Order, moment: Moment) -> bool:
    over = order.deadline or order.decided_at
    return over is not None and aware(over) < moment.now - PRUNED_AFTER


def _names(unit_ids: Iterable[str]) -> str:
    names = sorted(unit_ids)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "nothing") + more


def _amounts(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{number} x {kind}" for kind, number in sorted(kinds.items()))
