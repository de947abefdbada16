"""The messages that delivery consumes, and how it handles agents that come and go."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from delivery_worker import queries
from delivery_worker.shifts import Shift, fold, rounds
from messages.contracts.delivery import (
    AGENT_OFFLINE,
    AgentCameOnline,
    AgentRefused,
    AgentWentOffline,
    AssignAgent,
    ReleaseAgent,
    ReserveAgent,
)
from messages.contracts.message import Message
from messages.contracts.order import DeliveryCompleted, OrderPlaced
from messages.contracts.participation import REPORTS, RESERVE, SETTLE
from messages.participant.loss import Loss, Lost
from messages.transport.database.transactions import Transaction
from messages.transport.handled import Handled
from messages.transport.incoming import Incoming

HANDLERS: Mapping[type[Message], str] = {
    ReserveAgent: RESERVE,
    AssignAgent: SETTLE,
    ReleaseAgent: SETTLE,
    OrderPlaced: SETTLE,
    DeliveryCompleted: REPORTS,
    AgentCameOnline: REPORTS,
    AgentWentOffline: REPORTS,
}

LOSS = Loss(
    AgentWentOffline,
    "went offline",
    refused=lambda order_id: AgentRefused(order_id=order_id, reason=AGENT_OFFLINE),
    alarm="offline_while_confirmed",
    give_back=lambda pairs: queries.let_go(*zip(*((*pair, False) for pair in pairs), strict=True)),
)


async def handle_fleet(tx: Transaction, documents: Sequence[Incoming]) -> Handled:
    """Put agents online and offline."""
    told = [each.message for each in documents if isinstance(each.message, (AgentCameOnline, AgentWentOffline))]
    folded = [fold(each) for each in rounds(told)]
    leaving = {shift.agent_id for shifts in folded for shift in shifts if not shift.online}
    # Reservations are locked before agents, as in every other transaction, so that none deadlock. Only those of orders
    # that the batch names are locked already: PostgreSQL may end a transaction that locks both in order, to be retried.
    holders = await queries.lock_holders(tx, list(leaving)) if leaving else set()
    if len(moving := {shift.agent_id for shifts in folded for shift in shifts}) > 1:
        await queries.lock_agents(tx, list(moving))
    report = partial(LOSS.report, tx, holders=holders, causes=_departures(documents), documents=documents)
    handled = Handled()
    for shifts in folded:
        handled.add(await _apply(tx, shifts, report))
    return handled


async def _apply(
    tx: Transaction, shifts: Sequence[Shift], report: Callable[[Sequence[Lost]], Awaitable[Handled]]
) -> Handled:
    with_zone = [shift for shift in shifts if shift.zone is not None]
    if with_zone:
        await queries.put_online(tx, with_zone)
    leaving = [shift for shift in shifts if not shift.online]
    if not leaving:
        return Handled()
    return await report(await queries.put_offline(tx, leaving))


def _departures(documents: Sequence[Incoming]) -> dict[str, Incoming]:
    """Agent id -> the last document that says that they have left."""
    return {
        document.message.agent_id: document for document in documents if isinstance(document.message, AgentWentOffline)
    }
