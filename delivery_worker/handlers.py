"""What delivery listens to, and what it does when agents come and go."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

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
from messages.transport.faults import Collision
from messages.transport.incoming import Incoming
from messages.transport.service import Alarm, Handled, Note, Transaction

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


async def handle_fleet(tx: Transaction, documents: Sequence[Incoming]) -> Handled:
    """Who comes and who leaves."""
    handled = Handled()
    messages = [document.message for document in documents]
    shifts = fold(message for message in messages if isinstance(message, (AgentCameOnline, AgentWentOffline)))
    leaving = [shift for shift in shifts if not shift.online]
    # Reservations before agents, as everybody locks them, so that nobody deadlocks.
    holders = await queries.lock_holders(tx, [shift.agent_id for shift in leaving]) if leaving else set()
    with_zone = [shift for shift in shifts if shift.zone is not None]
    if with_zone:
        await queries.put_online(tx, with_zone)
    if leaving:
        await _put_offline(tx, leaving, holders, _departures(documents), handled)
    return handled


def _departures(documents: Sequence[Incoming]) -> dict[str, Incoming]:
    """Of each agent, who said that he has left; of several, the last that arrived."""
    return {
        document.message.agent_id: document for document in documents if isinstance(document.message, AgentWentOffline)
    }


async def _put_offline(
    tx: Transaction,
    leaving: Sequence[Shift],
    holders: Collection[UUID],
    causes: Mapping[str, Incoming],
    handled: Handled,
) -> None:
    for agent in await queries.put_offline(tx, leaving):
        if agent.order_id not in holders:
            raise Collision(f"{agent.agent_id} was sent while he was leaving")
        detail = f"{agent.agent_id} went offline while {agent.state}"
        handled.story.append(Note(agent.order_id, AgentWentOffline.__name__, detail))
        if agent.state in ("assigned", "confirmed"):
            handled.alarms.append(Alarm(OFFLINE_WHILE_ASSIGNED, agent.order_id, detail, causes[agent.agent_id]))
