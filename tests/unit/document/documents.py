"""Documents, good and bad, and what a reader makes of them."""

import json
from typing import Any

from hypothesis import strategies as st

from messages.contracts.message import Message
from messages.contracts.order import CancelOrder, OrderRequested
from messages.contracts.store import PacketsAssigned
from messages.transport.addresses import Address
from messages.transport.document import Reader
from messages.transport.incoming import Incoming, Malformed, Origin

ORDER_ID = "7f0c5c7e-51a9-4fb6-9a52-0a7a4c1f9c01"
MESSAGE_ID = "0e0e4a3c-97f6-4d2e-8c3d-51e4a0f4f002"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SOMEWHERE = Address("answers", "somewhere")


class Waved(Message):
    """A message without any field of its own."""


ORDERS = Origin("order_saga.orders")
READER = Reader([OrderRequested, CancelOrder, PacketsAssigned, Waved])


def line(sku: str = "milk", **changes: Any) -> dict[str, Any]:
    return {"sku": sku, "quantity": 2, "price_cents": 150} | changes


def fields(**changes: Any) -> dict[str, Any]:
    return {
        "type": "OrderRequested/1.0",
        "message_id": MESSAGE_ID,
        "order_id": ORDER_ID,
        "customer_id": "C-1",
        "store_id": "S-1",
        "zone": "Z-1",
        "lines": [line()],
    } | changes


def body(**changes: Any) -> bytes:
    return json.dumps(fields(**changes)).encode()


def spliced(text: bytes) -> bytes:
    """A good document with one more member, written exactly so."""
    return body()[:-1] + b"," + text + b"}"


def accepted(document: bytes) -> Incoming:
    read = READER.read(document, ORDERS)
    assert isinstance(read, Incoming), read
    return read


def refused(document: bytes) -> Malformed:
    read = READER.read(document, ORDERS)
    assert isinstance(read, Malformed), read
    return read


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
