"""A broker that confirms only when it is in the mood, and a quick relay for what is left."""

import asyncio
from collections.abc import Sequence
from typing import Any

from messages.transport.broker import Envelope
from messages.transport.in_process.broker import InProcessBroker
from messages.transport.topology import Topology

QUICK_RELAY: dict[str, Any] = {
    "publish_timeout_seconds": 0.1,
    "relay_after_seconds": 0.2,
    "relay_interval_seconds": 0.1,
}
SAY_ONCE: dict[str, Any] = QUICK_RELAY | {"relay_after_seconds": 3_600.0}
"""A quick relay that does not take what it has said for overdue again, before it comes to delete it."""


class Moody(InProcessBroker):
    """Confirms nothing while it is `down`, nor ever what the key `sulks` gets; does not even answer while `mute`."""

    def __init__(self, beside: InProcessBroker) -> None:
        super().__init__(Topology((), (), ()))
        self._exchanges = beside._exchanges
        self.down = False
        self.mute = False
        self.sulks = ""
        self.calls: list[list[Envelope]] = []

    async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
        self.calls.append(list(envelopes))
        if self.mute:
            await asyncio.Event().wait()
        if self.down or any(envelope.to.key == self.sulks for envelope in envelopes):
            return [False] * len(envelopes)
        return await super().publish(envelopes)

    @property
    def connected(self) -> bool:
        return not self.down
