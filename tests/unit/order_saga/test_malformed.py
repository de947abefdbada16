"""An unreadable request is rejected as malformed, and what is no request is not answered."""

from typing import Any

import pytest

from messages.contracts.order import RequestRejected
from messages.transport.addresses import Address
from messages.transport.incoming import Malformed
from order_saga.service import answer_malformed
from tests.unit.order_saga.orders import ORDER, REQUEST


def malformed(**changes: Any) -> Malformed:
    fields: dict[str, Any] = {"body": b"{}", "message_id": REQUEST, "reason": "invalid", "detail": "zone: too long"}
    return Malformed(**fields | changes)


@pytest.mark.parametrize(
    "document",
    [
        malformed(wire_type="OrderRequested/1.0", order_id=ORDER),
        malformed(wire_type="OrderRequested/2.0", order_id=ORDER),
        malformed(wire_type="CancelOrder/1.0", order_id=ORDER),
        malformed(wire_type="OrderRequested", order_id=ORDER),
        malformed(body=b'{"type": "OrderRequested/1.0", "zone": ', order_id=ORDER),
        malformed(body=b"\xff", queue="order_saga.orders", order_id=ORDER),
    ],
)
def test_an_unreadable_request_is_rejected_as_malformed(document: Malformed) -> None:
    (said,) = answer_malformed(document)
    assert said.to == Address("outcomes", "request_rejected")
    assert said.message == RequestRejected(
        order_id=ORDER, request_message_id=REQUEST, reason="malformed", detail="invalid: zone: too long"
    )


def test_of_what_is_wrong_with_a_request_only_so_much_is_said() -> None:
    (said,) = answer_malformed(malformed(wire_type="OrderRequested/1.0", detail="x" * 60_000))
    assert isinstance(said.message, RequestRejected)
    assert len(said.message.detail) == 500


@pytest.mark.parametrize(
    "document",
    [
        malformed(wire_type="PacketsReserved/1.0", queue="order_saga.answers"),
        malformed(wire_type="OrderRequestedTwice/1.0"),
        malformed(body=b"\xff", queue="order_saga.answers"),
        malformed(wire_type="PacketsReserved/1.0", queue="order_saga.orders"),
    ],
)
def test_what_is_no_request_is_not_answered(document: Malformed) -> None:
    assert answer_malformed(document) == []
