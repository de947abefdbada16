"""Which packets can still be withdrawn, and which of them orders have."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from store_worker.published import ON_HAND, Packet

UNKNOWN = "never received"
"""The state of a named id that the store does not know. Such a packet is not sold either, if it comes later."""


class Withdrawal(NamedTuple):
    """Packets to withdraw."""

    packet_ids: Sequence[str]
    counts: Mapping[str, int]
    """State -> how many of them are in it, in the order of states, without zeros."""
    held: Sequence[Packet]
    """Those that an order has."""


def withdrawal_of(found: Iterable[Packet], named: Iterable[str] = ()) -> Withdrawal:
    """Of the packets found, those on hand; of the ids named, also the unknown ones."""
    known = {packet.packet_id: packet for packet in found}
    on_hand = [packet for packet in known.values() if packet.on_hand]
    unknown = [packet_id for packet_id in dict.fromkeys(named) if packet_id not in known]
    states = Counter(packet.state for packet in on_hand) + Counter({UNKNOWN: len(unknown)})
    return Withdrawal(
        [*(packet.packet_id for packet in on_hand), *unknown],
        {state: states[state] for state in (*ON_HAND, UNKNOWN) if states[state]},
        [packet for packet in on_hand if packet.order_id is not None],
    )
