"""The messages that the store consumes, and how it handles goods that come and go."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from uuid import UUID

from messages.contracts.message import Message
from messages.contracts.order import DeliveryCompleted, OrderPlaced
from messages.contracts.participation import REPORTS, RESERVE, SETTLE
from messages.contracts.store import (
    PACKET_WITHDRAWN,
    AssignPackets,
    PacketsRefused,
    PacketsWithdrawn,
    ReleasePackets,
    ReservePackets,
    StockReceived,
)
from messages.participant.loss import Loss
from messages.transport.database.transactions import Transaction
from messages.transport.handled import Alarm, Handled
from messages.transport.incoming import Incoming
from store_worker import goods, queries

HANDLERS: Mapping[type[Message], str] = {
    ReservePackets: RESERVE,
    AssignPackets: SETTLE,
    ReleasePackets: SETTLE,
    OrderPlaced: SETTLE,
    DeliveryCompleted: REPORTS,
    StockReceived: REPORTS,
    PacketsWithdrawn: REPORTS,
}

MOST_TOLD = 10
"""Packets in one alarm."""
PACKET_ID_REUSED = "packet_id_reused"
WITHDRAWN_ELSEWHERE = "withdrawn_elsewhere"
LOSS = Loss(
    PacketsWithdrawn,
    "withdrawn",
    refused=lambda order_id: PacketsRefused(order_id=order_id, reason=PACKET_WITHDRAWN),
    alarm="withdrawn_while_confirmed",
    give_back=lambda pairs: queries.give_back(*zip(*pairs, strict=True)),
)


async def handle_goods(tx: Transaction, documents: Sequence[Incoming]) -> Handled:
    """Receive packets, and withdraw packets."""
    causes = _causes(documents, PacketsWithdrawn)
    holders = await goods.lock_holders(tx, list(causes)) if causes else set()
    # Only now: the holder of this advisory lock should not wait for reservations whose owners wait for it. It may do so
    # where the batch also has an order that was created since it began: PostgreSQL ends one of them, to be retried.
    await goods.take_turn(tx)
    handled = Handled(alarms=await _receive(tx, documents))
    if causes:
        handled.add(await _withdraw(tx, documents, holders, causes))
    return handled


def _causes(documents: Sequence[Incoming], kind: type[StockReceived | PacketsWithdrawn]) -> dict[str, Incoming]:
    """Packet id -> the last document of this kind about it."""
    return {
        packet_id: document
        for document in documents
        if isinstance(document.message, kind)
        for packet_id in document.message.packet_ids
    }


async def _receive(tx: Transaction, documents: Sequence[Incoming]) -> list[Alarm]:
    received = [(document.message, document) for document in documents if isinstance(document.message, StockReceived)]
    if not received:
        return []
    reused = await goods.receive(tx, [message for message, _ in received])
    about_reuse = _one_a_document(
        PACKET_ID_REUSED,
        ((f"{packet_id} is already the id of another packet", received[position][1]) for packet_id, position in reused),
    )
    causes = _causes(documents, StockReceived)
    return about_reuse + _withdrawn_elsewhere(await goods.early_strays(tx, list(causes)), causes)


def _withdrawn_elsewhere(strays: Iterable[goods.Stray], causes: Mapping[str, Incoming]) -> list[Alarm]:
    return _one_a_document(
        WITHDRAWN_ELSEWHERE,
        (
            (f"{packet_id} was not withdrawn: it belongs to {store_id}, not to {named_store_id}", causes[packet_id])
            for packet_id, store_id, named_store_id in strays
        ),
    )


def _one_a_document(name: str, found: Iterable[tuple[str, Incoming]]) -> list[Alarm]:
    """`found`: (detail, its document). A supplier's document names a thousand packets in a few bytes each."""
    about: dict[UUID, tuple[Incoming, list[str]]] = {}
    for detail, document in found:
        about.setdefault(document.message_id, (document, []))[1].append(detail)
    return [Alarm(name, detail=_shortened(details), cause=document) for document, details in about.values()]


def _shortened(details: Sequence[str]) -> str:
    more = len(details) - MOST_TOLD
    return "; ".join(details[:MOST_TOLD]) + (f"; and {more} more" if more > 0 else "")


async def _withdraw(
    tx: Transaction, documents: Sequence[Incoming], holders: AbstractSet[UUID], causes: Mapping[str, Incoming]
) -> Handled:
    withdrawn = [document.message for document in documents if isinstance(document.message, PacketsWithdrawn)]
    packet_ids = [packet_id for each in withdrawn for packet_id in each.packet_ids]
    store_ids = [each.store_id for each in withdrawn for _ in each.packet_ids]
    strays = await goods.strays(tx, packet_ids, store_ids)
    handled = Handled(alarms=_withdrawn_elsewhere(strays, causes))
    lost = await goods.withdraw(tx, packet_ids, store_ids)
    handled.add(await LOSS.report(tx, lost, holders, causes, documents))
    return handled
