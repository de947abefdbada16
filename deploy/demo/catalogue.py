"""The demo's packets and agents, from a file, as requests."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field

from messages.contracts.delivery import AgentCameOnline
from messages.contracts.message import Contract, Identifier
from messages.contracts.store import StockReceived
from messages.transport.edge.requests import Request, new_request

FILE = Path(__file__).parent / "catalogue.json"
PACKETS_A_MESSAGE = 1_000


class Lot(Contract):
    """Packets of one sku in one store, all with the same best-before, in days from now."""

    store: Identifier
    sku: Identifier
    packets: Annotated[int, Field(ge=1, le=PACKETS_A_MESSAGE)]
    best_before_days: float


class Catalogue(Contract):
    """The whole file."""

    lots: tuple[Lot, ...]
    agents: dict[Identifier, int]
    """Zone -> how many agents are online there."""

    @classmethod
    def read(cls) -> "Catalogue":
        return cls.model_validate_json(FILE.read_bytes(), strict=False)

    @property
    def packets(self) -> int:
        return sum(lot.packets for lot in self.lots)

    @property
    def stores(self) -> list[str]:
        return sorted({lot.store for lot in self.lots})

    @property
    def agents_online(self) -> int:
        return sum(self.agents.values())

    def requests(self) -> Iterator[Request]:
        """Yield the requests that bring all of it."""
        now = datetime.now(UTC)
        for number, lot in enumerate(self.lots, 1):
            yield new_request(
                StockReceived,
                store_id=lot.store,
                sku=lot.sku,
                best_before=now + timedelta(days=lot.best_before_days),
                packet_ids=tuple(f"{lot.sku}-{number}-{packet}" for packet in range(1, lot.packets + 1)),
            )
        for zone, agents in self.agents.items():
            for agent in range(1, agents + 1):
                yield new_request(AgentCameOnline, agent_id=f"{zone}-{agent}", zone=zone, at=now)
