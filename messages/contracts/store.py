"""The conversation with the store: single packets, reserved and assigned for an order."""

from typing import Annotated, ClassVar

from pydantic import Field

from messages.contracts.message import Contract, GivenTime, Identifier, Message
from messages.contracts.participation import Assign, Assigned, Refused, Release, Released, Reserve, Reserved

STORE = "store"

OUT_OF_STOCK = "out_of_stock"
UNKNOWN_SKU = "unknown_sku"
PACKET_WITHDRAWN = "packet_withdrawn"
"""Written by the view `unfit`, in the worker's migrations."""

PacketIds = Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=1_000)]
"""A thousand at most, and fewer if they are long: a client's document may have 64 KiB in all.

A thousand of 60 characters each fit. A larger document is parked as `too_large`, and its supplier gets no answer.
"""


class Want(Contract):
    """So many packets of one sku."""

    sku: Identifier
    quantity: Annotated[int, Field(ge=1, le=100)]


class ReservePackets(Reserve):
    """Hold every wanted packet of the store's, or none."""

    store_id: Identifier
    wants: Annotated[tuple[Want, ...], Field(min_length=1, max_length=50)]


class AssignPackets(Assign):
    """Make the held packets the order's."""


class ReleasePackets(Release):
    """Put the order's packets back on the shelf."""


class PacketsReserved(Reserved):
    """Every wanted packet is held."""

    PARTICIPANT: ClassVar[str] = STORE


class PacketsRefused(Refused):
    """The order does not get its packets: there are too few, or one of them has been withdrawn."""

    PARTICIPANT: ClassVar[str] = STORE


class PacketsAssigned(Assigned):
    """The named packets are the order's."""

    PARTICIPANT: ClassVar[str] = STORE

    packet_ids: tuple[Identifier, ...]

    @property
    def unit_ids(self) -> tuple[Identifier, ...]:
        return self.packet_ids


class PacketsReleased(Released):
    """No packet is the order's."""

    PARTICIPANT: ClassVar[str] = STORE


class StockReceived(Message):
    """New packets of one sku stand on the store's shelf. A packet id is used once, for ever."""

    FROM_OUTSIDE: ClassVar[bool] = True

    store_id: Identifier
    sku: Identifier
    best_before: GivenTime
    packet_ids: PacketIds


class PacketsWithdrawn(Message):
    """These packets of the store's must not be sold: broken, recalled, lost. One of another store's stays on sale."""

    FROM_OUTSIDE: ClassVar[bool] = True

    store_id: Identifier
    packet_ids: PacketIds
