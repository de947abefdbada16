"""An order's notes for the timeline: each message received, its effect, and each outcome published."""

from collections.abc import Mapping
from uuid import UUID

from messages.contracts.message import Message
from messages.contracts.order import OrderNotPlaced, OrderPlaced
from messages.contracts.views import NOT_PLACED, PLACED
from messages.transport.addresses import OUTCOMES, Address
from messages.transport.handled import TimelineEntry
from order_saga.state import Decision

OUTCOME_TOLD = "OutcomeTold"
"""The event by which the audit knows what was published to customers; its detail is `placed` or `not_placed`."""
OUTCOMES_TOLD: Mapping[type[Message], str] = {OrderPlaced: PLACED, OrderNotPlaced: NOT_PLACED}


def entries(order_id: UUID, event: str, decision: Decision, message_id: UUID | None = None) -> list[TimelineEntry]:
    notes = [TimelineEntry(order_id, event, decision.note, message_id)]
    for message, to in decision.outgoing:
        if is_outcome(message, to):
            notes.append(TimelineEntry(order_id, OUTCOME_TOLD, OUTCOMES_TOLD[type(message)]))
    return notes


def is_outcome(message: Message, to: Address) -> bool:
    """Whether it tells clients the outcome of an order."""
    return to.exchange == OUTCOMES and type(message) in OUTCOMES_TOLD
