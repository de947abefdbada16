"""The messages that the order saga consumes, and how a batch is handled: read, decide in order of arrival, write."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from messages.contracts.message import Message
from messages.contracts.order import CancelOrder, OrderRequested
from messages.contracts.participation import OutcomeRequested
from messages.transport.database.lock_mode import LockMode
from messages.transport.database.row_cache import MOST_UNITS, RowCache
from messages.transport.database.transactions import Transaction
from messages.transport.handled import Alarm, Handled, Outgoing
from messages.transport.incoming import Incoming
from order_saga import queries, saga, timeline
from order_saga.counting import first_outcomes
from order_saga.participants import PARTICIPANTS
from order_saga.state import Decision, Policy, Saga

NEW_WORK = "orders"
PRIORITY = "answers"

HANDLERS: Mapping[type[Message], str] = {
    OrderRequested: NEW_WORK,
    CancelOrder: PRIORITY,
    OutcomeRequested: PRIORITY,
    **{answer: PRIORITY for participant in PARTICIPANTS.values() for answer in participant.answers},
}


async def handle(
    policy: Policy, row_cache: RowCache[Saga], tx: Transaction, batch: Sequence[Incoming], lock_mode: LockMode
) -> Handled:
    """Handle a batch, in which an order may occur more than once."""
    order_ids = [incoming.order_id for incoming in batch]
    new = {incoming.order_id for incoming in batch if isinstance(incoming.message, OrderRequested)}
    known = await row_cache.load(lock_mode, set(order_ids), new, partial(queries.read, tx))
    after: dict[UUID, Saga] = {}
    handled, repeated = Handled(), dict[tuple[UUID, type[Message]], int]()
    for order_id, incoming in zip(order_ids, batch, strict=True):
        current = after.get(order_id) or known.rows.get(order_id)
        decision = _decide(current, incoming, known.now, policy)
        if decision.saga is not None and decision.saga is not current:
            after[order_id] = decision.saga
        elif decision.outgoing:
            decision = _repeated_once(order_id, decision, incoming, handled, repeated)
        _record(order_id, decision, incoming, handled)
    changes = [(known.rows.get(order_id), changed) for order_id, changed in after.items()]
    handled.outcomes = first_outcomes(changes)
    handled.writes = queries.write(changes) + row_cache.guards(known, after.keys())
    handled.changes = [change for change in changes if _may_be_cached(change[1])]
    return handled


def _decide(known: Saga | None, incoming: Incoming, now: datetime, policy: Policy) -> Decision:
    return saga.start(incoming, now, policy) if known is None else saga.advance(known, incoming, now, policy)


def _repeated_once(
    order_id: UUID,
    decision: Decision,
    incoming: Incoming,
    handled: Handled,
    repeated: dict[tuple[UUID, type[Message]], int],
) -> Decision:
    """Publish an outcome again only once for all requests of a kind in a batch, as caused by the last of them.

    It may be a hundred times as large as what asks for it. `repeated`: (order, type of the request) -> the outcome's
    position in `handled.outgoing`.
    """
    if not timeline.is_outcome(*decision.outgoing[0]):
        return decision
    position = repeated.setdefault((order_id, type(incoming.message)), len(handled.outgoing))
    if position == len(handled.outgoing):
        return decision
    handled.outgoing[position] = handled.outgoing[position]._replace(cause=incoming)
    return decision._replace(outgoing=(), note="outcome asked for again")


def _record(order_id: UUID, decision: Decision, incoming: Incoming, handled: Handled) -> None:
    handled.timeline += timeline.entries(order_id, type(incoming.message).__name__, decision, incoming.message_id)
    for message, to in decision.outgoing:
        handled.outgoing.append(Outgoing(message, to, incoming))
    for name, detail in decision.alarms:
        handled.alarms.append(Alarm(name, order_id, detail, incoming))


def _may_be_cached(changed: Saga) -> bool:
    return sum(map(len, changed.granted.values())) <= MOST_UNITS
