"""A store and a zone that no other test uses, their packets and agents, and orders for them."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tests.end_to_end.client import Document, document

PACKETS_A_DOCUMENT = 500


@dataclass(frozen=True)
class Market:
    store_id: str
    zone: str
    packets: Mapping[str, Sequence[str]]
    """sku -> packet ids."""
    agents: Sequence[str]

    @property
    def packet_ids(self) -> list[str]:
        return [packet_id for packet_ids in self.packets.values() for packet_id in packet_ids]

    @classmethod
    def of(cls, agents: int, packets: Mapping[str, int]) -> "Market":
        tag = uuid.uuid4().hex[:8]
        return cls(
            store_id=f"store-{tag}",
            zone=f"zone-{tag}",
            packets={sku: [f"{sku}-{tag}-{n}" for n in range(number)] for sku, number in packets.items()},
            agents=[f"agent-{tag}-{n}" for n in range(agents)],
        )

    def order(self, *, deadline: datetime | None = None, **lines: int) -> Document:
        """An OrderRequested for so many of each sku."""
        return document(
            "OrderRequested",
            order_id=str(uuid.uuid4()),
            customer_id="customer-1",
            store_id=self.store_id,
            zone=self.zone,
            lines=[{"sku": sku, "quantity": quantity, "price_cents": 199} for sku, quantity in lines.items()],
            **({} if deadline is None else {"deadline": deadline.isoformat()}),
        )

    def stocking(self) -> Iterator[Document]:
        """What has to be said for the market to be open."""
        best_before = (datetime.now(UTC) + timedelta(days=7)).isoformat()
        for sku, packet_ids in self.packets.items():
            for start in range(0, len(packet_ids), PACKETS_A_DOCUMENT):
                yield document(
                    "StockReceived",
                    store_id=self.store_id,
                    sku=sku,
                    best_before=best_before,
                    packet_ids=packet_ids[start : start + PACKETS_A_DOCUMENT],
                )
        for agent_id in self.agents:
            yield document("AgentCameOnline", agent_id=agent_id, zone=self.zone)

    def withdrawal(self, *packet_ids: str) -> Document:
        return document("PacketsWithdrawn", store_id=self.store_id, packet_ids=packet_ids)
