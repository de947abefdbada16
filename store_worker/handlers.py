"""What the store listens to, and what it does when goods come and go."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from messages.contracts.delivery import DeliveryCompleted
from messages.contracts.message import Message
from messages.contracts.order import OrderPlaced
from messages.contracts.store import (
    AssignPackets,
    PacketsWithdrawn,
    ReleasePackets,
    ReservePackets,
    StockReceived,
)
from messages.transport.faults import Collision
from messages.transport.incoming import Incoming
from messages.transport.service import Alarm, Handled, Note, Transaction
from store_worker import queries

RESERVE = "reserve"
SETTLE = "settle"

HANDLERS: Mapping[type[Message], str] = {
    ReservePackets: RESERVE,
    AssignPackets: SETTLE,
    ReleasePackets: SETTLE,
    OrderPlaced: SETTLE,
    DeliveryCompleted: SETTLE,
    StockReceived: SETTLE,
    PacketsWithdrawn: SETTLE,
}

PACKET_ID_REUSED = "packet_id_reused"
WITHDRAWN_ELSEWHERE = "withdrawn_elsewhere"
WITHDRAWN_WHILE_ASSIGNED = "withdrawn_while_assigned"


async def handle_goods(tx: Transaction, documents: Sequence[Incoming]) -> Handled:
    """What comes and what is withdrawn."""
    handled = Handled()
    received = [document.message for document in documents if isinstance(document.message, StockReceived)]
    withdrawn = [document.message for document in documents if isinstance(document.message, PacketsWithdrawn)]
    packet_ids = [packet_id for each in withdrawn for packet_id in each.packet_ids]
    holders = await queries.lock_holders(tx, packet_ids) if packet_ids else set()
    # Only now: whoever has the turn waits for nobody who may be waiting for it.
    await queries.take_turn(tx)
    if received:
        await _receive(tx, received, _causes(documents, StockReceived), handled)
    if withdrawn:
        await _withdraw(tx, withdrawn, holders, _causes(documents, PacketsWithdrawn), handled)
    return handled


def _causes(documents: Sequence[Incoming], kind: type[StockReceived | PacketsWithdrawn]) -> dict[str, Incoming]:
    """What was said of each packet, as far as it is of this kind."""
    return {
        packet_id: document
        for document in documents
        if isinstance(document.message, kind)
        for packet_id in document.message.packet_ids
    }


async def _receive(
    tx: Transaction, received: Sequence[StockReceived], causes: Mapping[str, Incoming], handled: Handled
) -> None:
    for packet_id in await queries.receive(tx, received):
        detail = f"{packet_id} is another packet already"
        handled.alarms.append(Alarm(PACKET_ID_REUSED, detail=detail, cause=causes[packet_id]))


async def _withdraw(
    tx: Transaction,
    withdrawn: Sequence[PacketsWithdrawn],
    holders: Collection[UUID],
    causes: Mapping[str, Incoming],
    handled: Handled,
) -> None:
    packet_ids = [packet_id for each in withdrawn for packet_id in each.packet_ids]
    store_ids = [each.store_id for each in withdrawn for _ in each.packet_ids]
    for packet_id, store_id, said in await queries.strays(tx, packet_ids, store_ids):
        detail = f"{packet_id} was not withdrawn: it is of {store_id}, and not of {said}"
        handled.alarms.append(Alarm(WITHDRAWN_ELSEWHERE, detail=detail, cause=causes[packet_id]))
    for packet in await queries.withdraw(tx, packet_ids, store_ids):
        if packet.order_id is None:
            continue
        if packet.order_id not in holders:
            raise Collision(f"{packet.packet_id} was taken while it was being withdrawn")
        detail = f"{packet.packet_id} withdrawn while {packet.state}"
        handled.story.append(Note(packet.order_id, PacketsWithdrawn.__name__, detail))
        if packet.state in ("assigned", "confirmed"):
            alarm = Alarm(WITHDRAWN_WHILE_ASSIGNED, packet.order_id, detail, causes[packet.packet_id])
            handled.alarms.append(alarm)
