"""The messages that delivery consumes, and how it handles agents that come and go."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from uuid import UUID

from delivery_worker import queries
from delivery_worker.shifts import Shift, fold
from messages.contracts.delivery import AgentCameOnline, AgentWentOffline, AssignAgent, ReleaseAgent, ReserveAgent
from messages.contracts.message import Message
from messages.contracts.order import DeliveryCompleted, OrderPlaced
from messages.contracts.participation import RESERVE, SETTLE
from messages.participant.participant import HELD_WITHOUT_RESERVATION
from messages.participant.queries import expect_no_reservations
from messages.participant.reservation import State
from messages.transport.database.transactions import Transaction
from messages.transport.database.writing import write
from messages.transport.handled import Alarm, Handled, TimelineEntry
from messages.transport.incoming import Incoming

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
ALARMS: Mapping[str | None, str] = {
    None: HELD_WITHOUT_RESERVATION,
    State.ASSIGNED: OFFLINE_WHILE_ASSIGNED,
    State.CONFIRMED: OFFLINE_WHILE_ASSIGNED,
}
"""State of the reservation that holds an agent who goes offline -> alarm."""


async def handle_fleet(tx: Transaction, documents: Sequence[Incoming]) -> Handled:
    """Put agents online and offline."""
    handled = Handled()
    messages = [document.message for document in documents]
    shifts = fold(message for message in messages if isinstance(message, (AgentCameOnline, AgentWentOffline)))
    leaving = [shift for shift in shifts if not shift.online]
    # Reservations are locked before agents, as in every other transaction, so that none deadlock.
    holders = await queries.lock_holders(tx, [shift.agent_id for shift in leaving]) if leaving else set()
    with_zone = [shift for shift in shifts if shift.zone is not None]
    if with_zone:
        await queries.put_online(tx, with_zone)
    if leaving:
        await _put_offline(tx, leaving, holders, _departures(documents), handled)
    return handled


def _departures(documents: Sequence[Incoming]) -> dict[str, Incoming]:
    """Agent id -> the last document that says that they have left."""
    return {
        document.message.agent_id: document for document in documents if isinstance(document.message, AgentWentOffline)
    }


async def _put_offline(
    tx: Transaction,
    leaving: Sequence[Shift],
    holders: AbstractSet[UUID],
    causes: Mapping[str, Incoming],
    handled: Handled,
) -> None:
    left = await queries.put_offline(tx, leaving)
    await expect_no_reservations(tx, {agent.order_id for agent in left} - holders)
    if orphans := [(agent.agent_id, agent.order_id, False) for agent in left if agent.state is None]:
        await write(tx, [queries.let_go(*zip(*orphans, strict=True))])
    for agent in left:
        detail = f"{agent.agent_id} went offline while {agent.state or 'their order has no reservation'}"
        handled.timeline.append(TimelineEntry(agent.order_id, AgentWentOffline.__name__, detail))
        if name := ALARMS.get(agent.state):
            handled.alarms.append(Alarm(name, agent.order_id, detail, causes[agent.agent_id]))
