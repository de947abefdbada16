"""What an order wants of a store, and when and why it is refused."""

from collections.abc import Sequence
from typing import NamedTuple

from messages.contracts.store import OUT_OF_STOCK, UNKNOWN_SKU, ReservePackets
from messages.participant.allocation import Pool, Want


class Found(NamedTuple):
    """The packets found of one sku in one store, locked if in a transaction.

    `visible`: how many were free, up to those wanted.
    """

    store_id: str
    sku: str
    known: bool
    packet_ids: Sequence[str]
    visible: int


def wants_of(reserve: ReservePackets) -> list[Want]:
    """One want a shelf, also if a sku is wanted in several lines."""
    quantities: dict[str, int] = {}
    for want in reserve.wants:
        quantities[want.sku] = quantities.get(want.sku, 0) + want.quantity
    return [Want((reserve.store_id, sku), quantity) for sku, quantity in quantities.items()]


def pool_of(found: Found) -> Pool:
    """Packets to give away. A shortage is certain if no free packet was locked by others, nor taken while we waited."""
    return Pool(
        found.packet_ids,
        reason=OUT_OF_STOCK if found.known else UNKNOWN_SKU,
        complete=len(found.packet_ids) >= found.visible,
    )
