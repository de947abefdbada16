"""What a store should do about one message after the other, in the simplest words: the model of a property test."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from uuid import UUID

from messages.contracts.message import Message
from messages.contracts.order import DeliveryCompleted, OrderPlaced
from messages.contracts.store import (
    AssignPackets,
    PacketsAssigned,
    PacketsRefused,
    PacketsReleased,
    PacketsReserved,
    PacketsWithdrawn,
    ReleasePackets,
    ReservePackets,
    StockReceived,
)


@dataclass
class Packet:
    sku: str
    order_id: UUID | None = None
    withdrawn: bool = False


@dataclass
class Order:
    order_id: UUID
    state: str = "absent"
    reason: str | None = None
    is_lease_over: bool = False
    is_delivered: bool = False

    @property
    def is_over(self) -> bool:
        return self.reason is not None


@dataclass
class Shop:
    packets: dict[str, Packet] = field(default_factory=dict)
    recalled: set[str] = field(default_factory=set)
    orders: dict[UUID, Order] = field(default_factory=dict)
    said: Counter[tuple[type[Message], UUID, str | None]] = field(default_factory=Counter)

    def hear(self, message: Message) -> None:
        match message:
            case StockReceived():
                self._receive(message)
            case PacketsWithdrawn():
                self._withdraw(message)
            case ReservePackets():
                self._reserve(self._order(message), message)
            case AssignPackets():
                self._assign(self._order(message))
            case ReleasePackets():
                self._release(self._order(message))
            case OrderPlaced() | DeliveryCompleted():
                self._settle(self._order(message), message)

    def sweep(self) -> None:
        for order in self.orders.values():
            if order.state == "reserved" and order.is_lease_over:
                self._end(order, "expired", "reservation_expired")
                self._say(PacketsRefused, order)

    @property
    def states(self) -> Mapping[UUID, str]:
        return {order_id: order.state for order_id, order in self.orders.items() if order.state != "absent"}

    @property
    def shelves(self) -> Counter[tuple[str, UUID | None, bool]]:
        """How many packets of a sku an order has, or none, and how many of them are withdrawn."""
        return Counter((each.sku, each.order_id, each.withdrawn) for each in self.packets.values())

    def _receive(self, received: StockReceived) -> None:
        for packet_id in received.packet_ids:
            self.packets.setdefault(packet_id, Packet(received.sku, withdrawn=packet_id in self.recalled))

    def _withdraw(self, withdrawn: PacketsWithdrawn) -> None:
        self.recalled.update(withdrawn.packet_ids)
        gone = [self.packets[each] for each in self.packets.keys() & self.recalled if not self.packets[each].withdrawn]
        for packet in gone:
            packet.withdrawn = True
        for order_id in {packet.order_id for packet in gone if packet.order_id is not None}:
            if self.orders[order_id].state == "assigned":
                self.said[PacketsRefused, order_id, "packet_withdrawn"] += 1

    def _reserve(self, order: Order, reserve: ReservePackets) -> None:
        if order.state == "absent":
            found = {want.sku: self._free(want.sku)[: want.quantity] for want in reserve.wants}
            short = [want.sku for want in reserve.wants if len(found[want.sku]) < want.quantity]
            if short:
                is_known = any(packet.sku == short[0] for packet in self.packets.values())
                self._end(order, "refused", "out_of_stock" if is_known else "unknown_sku")
            else:
                order.state = "reserved"
                for packet in chain(*found.values()):
                    packet.order_id = order.order_id
        self._say(PacketsRefused if order.is_over else PacketsReserved, order)

    def _assign(self, order: Order) -> None:
        if order.state == "absent":
            self.said[PacketsRefused, order.order_id, "never_reserved"] += 1
            return
        if order.state == "reserved" and order.is_lease_over:
            self._end(order, "expired", "reservation_expired")
        elif order.state == "reserved" and any(packet.withdrawn for packet in self._held(order)):
            self._end(order, "refused", "packet_withdrawn")
        elif order.state == "reserved":
            order.state = "assigned"
        elif order.state == "assigned" and any(packet.withdrawn for packet in self._held(order)):
            self.said[PacketsRefused, order.order_id, "packet_withdrawn"] += 1
            return
        self._say(PacketsRefused if order.is_over else PacketsAssigned, order)

    def _release(self, order: Order) -> None:
        if order.state in ("absent", "reserved", "assigned"):
            self._end(order, "released", "released")
        if order.is_over:
            self.said[PacketsReleased, order.order_id, None] += 1

    def _settle(self, order: Order, message: Message) -> None:
        if isinstance(message, OrderPlaced) and order.state == "assigned":
            order.state = "confirmed"
        elif isinstance(message, DeliveryCompleted) and order.state in ("reserved", "assigned", "confirmed"):
            order.is_delivered = True
        if order.state == "confirmed" and order.is_delivered:
            order.state = "fulfilled"

    def _order(self, message: Message) -> Order:
        assert message.order_id is not None
        return self.orders.setdefault(message.order_id, Order(message.order_id))

    def _end(self, order: Order, state: str, reason: str) -> None:
        order.state, order.reason = state, reason
        for packet in self._held(order):
            packet.order_id = None

    def _held(self, order: Order) -> Sequence[Packet]:
        return [packet for packet in self.packets.values() if packet.order_id == order.order_id]

    def _free(self, sku: str) -> Sequence[Packet]:
        return [
            each for each in self.packets.values() if each.sku == sku and each.order_id is None and not each.withdrawn
        ]

    def _say(self, kind: type[Message], order: Order) -> None:
        self.said[kind, order.order_id, order.reason] += 1
