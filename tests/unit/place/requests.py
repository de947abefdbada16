"""Requests as `place` reads them, and two outcomes."""

import io
import json
from typing import Any
from uuid import UUID

from messages.contracts.order import OrderNotPlaced, OrderPlaced
from order_saga.client.awaiting import Asked
from order_saga.client.request_lines import read

ORDER = UUID("0197c1f0-7d3a-7b52-9c3e-1f2a3b4c5d6e")
CONTENT: dict[str, Any] = {
    "customer_id": "C-1",
    "store_id": "north",
    "zone": "centre",
    "lines": [{"sku": "milk", "quantity": 2, "price_cents": 129}],
}


def text(*documents: dict[str, Any] | str) -> io.BytesIO:
    lines = (document if isinstance(document, str) else json.dumps(document) for document in documents)
    return io.BytesIO("\n".join(lines).encode())


def asked(*documents: dict[str, Any] | str) -> list[Asked]:
    return list(read(text(*documents)))


def an_order(**given: Any) -> Asked:
    (only,) = asked(CONTENT | {"order_id": str(ORDER)} | given)
    return only


def a_cancel() -> Asked:
    (only,) = asked({"type": "CancelOrder/1.0", "order_id": str(ORDER)})
    return only


PLACED = OrderPlaced(order_id=ORDER, packet_ids=("P-1", "P-2"), agent_id="A-1")
NOT_PLACED = OrderNotPlaced(order_id=ORDER, participant="store", reason="out_of_stock")
