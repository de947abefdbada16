"""What delivery does with each message: commands become answers, agents come and go."""

from collections.abc import Mapping, Sequence

from delivery_worker import queries
from delivery_worker.shifts import Shift, fold
from messages.contracts.delivery import (
    AgentCameOnline,
    AgentWentOffline,
    AssignAgent,
    DeliveryCompleted,
    ReleaseAgent,
    ReserveAgent,
)
from messages.contracts.message import Message
from messages.contracts.order import OrderPlaced
from messages.participant import handling
from messages.participant.participant import Participant
from messages.participant.reservation import Reservation
from messages.transport.faults import Collision
from messages.transport.memory import Memory
from messages.transport.service import Alarm, Care, Handle, Handled, Incoming, Note, Transaction

RESERVE = "reserve"
SETTLE = "settle"

HANDLERS: Mapping[type[Message], str] = {
    ReserveAgent: RESERVE,
    AssignAgent: SETTLE,
    ReleaseAgent: SETTLE,
    OrderPlaced: SETTLE,
    DeliveryCompleted: SETTLE,
    AgentCameOnline: SETTLE,
    AgentWentOffline: SETTLE,
}

OFFLINE_WHILE_ASSIGNED = "offline_while_assigned"


def handle_for(delivery: Participant, memory: Memory[Reservation]) -> Handle:
    async def handle(tx: Transaction, documents: Sequence[Incoming], care: Care) -> Handled:
        about_orders = [document for document in documents if document.message.ABOUT_AN_ORDER]
        if len(about_orders) == len(documents):
            return await handling.handle(delivery, memory, tx, documents, care)
        # The fleet first: who has just come can be sent, and who has left is not assigned any more.
        fleet = await _handle_fleet(tx, documents)
        if not about_orders:
            return fleet
        handled = await handling.handle(delivery, memory, tx, about_orders, care)
        handled.story += fleet.story
        handled.alarms += fleet.alarms
        return handled

    return handle


async def _handle_fleet(tx: Transaction, documents: Sequence[Incoming]) -> Handled:
    handled = Handled()
    messages = [document.message for document in documents]
    shifts = fold(message for message in messages if isinstance(message, (AgentCameOnline, AgentWentOffline)))
    with_zone = [shift for shift in shifts if shift.zone is not None]
    if with_zone:
        await queries.begin(tx, with_zone)
    leaving = [shift for shift in shifts if not shift.online]
    if leaving:
        await _end(tx, leaving, handled)
    return handled


async def _end(tx: Transaction, leaving: Sequence[Shift], handled: Handled) -> None:
    holders = await queries.lock_holders(tx, [shift.agent_id for shift in leaving])
    for agent in await queries.end(tx, leaving):
        if agent.order_id not in holders:
            raise Collision(f"{agent.agent_id} was sent while he was leaving")
        detail = f"{agent.agent_id} went offline while {agent.state}"
        handled.story.append(Note(agent.order_id, AgentWentOffline.__name__, detail))
        if agent.state in ("assigned", "confirmed"):
            handled.alarms.append(Alarm(OFFLINE_WHILE_ASSIGNED, agent.order_id, detail))
