"""A document is read if its type is handled here, in any minor version."""

import json
import uuid
from uuid import UUID

import pytest

from messages.contracts.message import OrderMessage
from messages.contracts.order import OrderRequested
from messages.contracts.store import ReservePackets
from messages.transport.document import Reader, encode
from messages.transport.handled import Outgoing
from messages.transport.incoming import Incoming, Malformed
from tests.unit.document.documents import ORDER_ID, SOMEWHERE, accepted, body, fields, line, refused


def test_unknown_fields_of_a_later_minor_version_are_tolerated() -> None:
    document = accepted(body(type="OrderRequested/1.17", gift=True, lines=[line(colour="red")]))
    assert isinstance(document.message, OrderRequested)


@pytest.mark.parametrize("wire_type", ["OrderRequested/2.0", "OrderRequested/0.9", "OrderRequested/01.0"])
def test_another_major_version_is_refused_as_such(wire_type: str) -> None:
    read = refused(body(type=wire_type))
    assert (read.reason, read.wire_type) == ("unknown_version", wire_type)


def test_a_type_that_is_not_handled_here_is_refused_as_such() -> None:
    assert refused(body(type="ReservePackets/1.0")).reason == "unknown_type"


@pytest.mark.parametrize(
    "wire_type",
    [
        *(None, 1, "", "OrderRequested", "OrderRequested/1", "OrderRequested/1.0.0", "orderRequested/1.0", ["x"]),
        *("OrderRequested/1.0\n", " OrderRequested/1.0", "OrderRequested/1.\u0661", "A" * 65 + "/1.0"),
    ],
)
def test_what_names_no_type_is_refused(wire_type: object) -> None:
    assert refused(body(type=wire_type)).reason == "no_type"


def test_a_document_without_a_type_is_refused() -> None:
    without = fields()
    del without["type"]
    read = refused(json.dumps(without).encode())
    assert (read.reason, read.wire_type, read.order_id) == ("no_type", None, UUID(ORDER_ID))


def test_a_service_is_read_only_what_it_handles() -> None:
    document = encode(
        Outgoing(
            ReservePackets.model_validate(
                {
                    "order_id": uuid.uuid4(),
                    "lease_seconds": 30,
                    "not_after": "2030-01-01T12:00:00Z",
                    "store_id": "S",
                    "wants": ({"sku": "milk", "quantity": 1},),
                },
                strict=False,
            ),
            SOMEWHERE,
        )
    )
    assert isinstance(Reader([ReservePackets]).read(document), Incoming)
    assert isinstance(Reader([OrderMessage]).read(document), Malformed)
