"""What an order wants of a store, and what may be said when it cannot be had."""

from collections.abc import Sequence
from typing import NamedTuple

from messages.contracts.store import OUT_OF_STOCK, UNKNOWN_SKU, ReservePackets
from messages.participant.allocation import Pool, Want


class Found(NamedTuple):
    """Packets of one sku in one store that were found, in a transaction locked.

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


def pool_of(found: Found, *, waiting: bool) -> Pool:
    """Packets to give away. The miss is real if nothing that was free was locked by somebody else, or if we waited."""
    return Pool(
        found.packet_ids,
        reason=OUT_OF_STOCK if found.known else UNKNOWN_SKU,
        complete=waiting or len(found.packet_ids) >= found.visible,
    )
