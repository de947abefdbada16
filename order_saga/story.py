"""An order's story, as the timeline keeps it: what was heard and what came of it, and each outcome that was told."""

from collections.abc import Iterator, Mapping
from uuid import UUID

from messages.contracts.message import Message
from messages.contracts.order import OrderNotPlaced, OrderPlaced
from messages.transport.addresses import OUTCOMES
from messages.transport.service import Note
from order_saga.state import Decision

OUTCOME_TOLD = "OutcomeTold"
"""The event by which the audit knows what customers have heard; its detail is `placed` or `not_placed`."""
OUTCOMES_TOLD: Mapping[type[Message], str] = {OrderPlaced: "placed", OrderNotPlaced: "not_placed"}


def notes(order_id: UUID, event: str, decision: Decision, message_id: UUID | None = None) -> Iterator[Note]:
    """What is noted of a decision about `event`."""
    yield Note(order_id, event, decision.effect, message_id)
    for message, to in decision.said:
        outcome = OUTCOMES_TOLD.get(type(message))
        if outcome is not None and to.exchange == OUTCOMES:
            yield Note(order_id, OUTCOME_TOLD, outcome)
