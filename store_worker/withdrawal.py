"""What it means to withdraw packets: which of them can still be withdrawn, and whose they are by now."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from store_worker.published import ON_HAND, Packet

UNKNOWN = "never received"
"""Of an id that is named and that the store does not know. It is not sold either, should it come."""


class Withdrawal(NamedTuple):
    """Packets to withdraw."""

    packet_ids: Sequence[str]
    counts: Mapping[str, int]
    """How many of them are in which state, in the order of states; those in none are not there."""
    held: Sequence[Packet]
    """Those that an order has."""


def withdrawal_of(found: Iterable[Packet], named: Iterable[str] = ()) -> Withdrawal:
    """Of what was found, what is on hand, and of what was named, also what nobody has ever seen."""
    known = {packet.packet_id: packet for packet in found}
    on_hand = [packet for packet in known.values() if packet.on_hand]
    unknown = [packet_id for packet_id in dict.fromkeys(named) if packet_id not in known]
    states = Counter(packet.state for packet in on_hand) + Counter({UNKNOWN: len(unknown)})
    return Withdrawal(
        [*(packet.packet_id for packet in on_hand), *unknown],
        {state: states[state] for state in (*ON_HAND, UNKNOWN) if states[state]},
        [packet for packet in on_hand if packet.order_id is not None],
    )
