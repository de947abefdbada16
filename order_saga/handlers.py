"""The messages that the order saga consumes, and how a batch is handled: read, decide in order of arrival, write."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from messages.contracts.message import Message
from messages.contracts.order import CancelOrder, OrderRequested
from messages.contracts.participation import OutcomeRequested
from messages.transport.incoming import Incoming
from messages.transport.memory import Memory
from messages.transport.service import Alarm, Care, Handled, Said, Transaction
from order_saga import queries, saga, story
from order_saga.counting import first_outcomes
from order_saga.participants import PARTICIPANTS
from order_saga.state import Decision, Saga, Terms

INTAKE = "orders"
FIRST = "answers"

HANDLERS: Mapping[type[Message], str] = {
    OrderRequested: INTAKE,
    CancelOrder: FIRST,
    OutcomeRequested: FIRST,
    **{answer: FIRST for participant in PARTICIPANTS.values() for answer in participant.answers},
}


async def handle(terms: Terms, memory: Memory[Saga], tx: Transaction, batch: Sequence[Incoming], care: Care) -> Handled:
    """Handle a batch, in which an order may occur more than once."""
    requested = {_order_id(heard) for heard in batch if isinstance(heard.message, OrderRequested)}
    known = await memory.know(care, {_order_id(heard) for heard in batch}, requested, partial(queries.read, tx))
    after: dict[UUID, Saga] = {}
    handled = Handled()
    for heard in batch:
        order_id = _order_id(heard)
        current = after.get(order_id) or known.rows.get(order_id)
        decision = _decide(current, heard, known.now, terms)
        if decision.saga is not None and decision.saga is not current:
            after[order_id] = decision.saga
        _record(decision, heard, handled)
    handled.changes = [(known.rows.get(order_id), changed) for order_id, changed in after.items()]
    handled.outcomes = first_outcomes(handled.changes)
    handled.writes = queries.write(handled.changes) + memory.hold(known, after.keys())
    return handled


def _decide(known: Saga | None, heard: Incoming, now: datetime, terms: Terms) -> Decision:
    return saga.start(heard, now, terms) if known is None else saga.advance(known, heard, now, terms)


def _record(decision: Decision, heard: Incoming, handled: Handled) -> None:
    order_id = _order_id(heard)
    handled.said += [Said(message, to, heard) for message, to in decision.said]
    handled.story += story.notes(order_id, type(heard.message).__name__, decision, heard.message_id)
    handled.alarms += [Alarm(name, order_id, detail, heard) for name, detail in decision.alarms]


def _order_id(heard: Incoming) -> UUID:
    order_id = heard.message.order_id
    assert order_id is not None, "everything the saga listens to is about an order"
    return order_id
