"""An order's content, without its id and its deadline: in canonical form, so that two requests can be compared."""

from hashlib import sha256
from uuid import UUID

from pydantic_core import from_json, to_json

from messages.contracts.order import OrderRequested


def canonical(order: OrderRequested) -> str:
    """The business content as compact JSON; neither the order of the lines nor the deadline makes another order.

    An optional field that is missing is left out: an order of an earlier release must keep its fingerprint.
    """
    return to_json(
        {
            "customer_id": order.customer_id,
            "lines": [
                {"price_cents": line.price_cents, "quantity": line.quantity, "sku": line.sku}
                for line in sorted(order.lines, key=lambda line: line.sku)
            ],
            "store_id": order.store_id,
            "zone": order.zone,
        }
    ).decode()


def fingerprint(content: str) -> bytes:
    """The SHA-256 of the content, which is kept for ever."""
    return sha256(content.encode()).digest()


def from_canonical(order_id: UUID, content: str) -> OrderRequested:
    return OrderRequested.model_validate(from_json(content) | {"order_id": order_id}, strict=False)
