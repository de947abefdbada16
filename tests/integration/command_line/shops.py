"""Shops that are stocked and staffed, and orders for them."""

import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from messages.contracts.delivery import AgentCameOnline
from messages.contracts.store import StockReceived
from messages.transport.edge.connection import publish_until_confirmed
from messages.transport.edge.requests import new_request
from tests.integration.command_line.shell import Shell

LATER = datetime.now(UTC) + timedelta(days=3)


async def a_shop(shell: Shell, packets: int, agents: int) -> str:
    """A store and a zone of one name, stocked and staffed."""
    place = f"place-{uuid.uuid4().hex[:8]}"
    names = tuple(f"{place}-{number}" for number in range(packets))
    goods = new_request(StockReceived, store_id=place, sku="milk", best_before=LATER, packet_ids=names)
    fleet = [new_request(AgentCameOnline, agent_id=f"{place}-{number}", zone=place) for number in range(agents)]
    await publish_until_confirmed(shell.broker, [goods, *fleet])
    await shell.until("store_worker", free(place, packets))
    await shell.until("delivery_worker", free(place, agents))
    return place


def free(place: str, number: int) -> str:
    return f"SELECT count(*) = {number} FROM published.stock WHERE place = '{place}' AND state = 'free'"


def order(place: str, quantity: int = 1, **given: Any) -> dict[str, Any]:
    lines = [{"sku": "milk", "quantity": quantity, "price_cents": 129}]
    return {"customer_id": "C-1", "store_id": place, "zone": place, "lines": lines} | given


def text(documents: Iterable[dict[str, Any]]) -> str:
    return "".join(f"{json.dumps(document)}\n" for document in documents)
