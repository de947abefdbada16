"""The ids and the trace of a document are read with it, and of a bad one as far as they can be made out."""

import json
import re
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messages.contracts.order import OrderRequested
from messages.transport.incoming import Incoming
from tests.unit.document.documents import MESSAGE_ID, ORDER_ID, READER, TRACE, accepted, body, fields, refused

CANONICAL_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


def test_a_good_document_is_read_with_its_metadata() -> None:
    document = accepted(body(traceparent=TRACE))
    assert isinstance(document.message, OrderRequested)
    assert (document.message_id, document.traceparent) == (UUID(MESSAGE_ID), TRACE)
    assert (document.body, document.queue) == (body(traceparent=TRACE), "order_saga.orders")


@pytest.mark.parametrize(
    "message_id",
    [
        *(None, 5, "", "x" * 36, MESSAGE_ID[:-1], MESSAGE_ID.replace("-", ""), "urn:uuid:" + MESSAGE_ID),
        *(f"{{{MESSAGE_ID.replace('-', '')}}}--", MESSAGE_ID.replace("0e0e", "0e_e")),
        MESSAGE_ID.replace("0e", "\u0660e"),
    ],
)
def test_a_message_id_is_a_uuid_and_nothing_that_python_takes_for_one(message_id: object) -> None:
    read = refused(body(message_id=message_id))
    assert (read.reason, read.detail) == ("invalid", "message_id: must be a UUID")


@given(
    st.from_regex(CANONICAL_UUID, fullmatch=True)
    | st.text(st.sampled_from("0aF-_{}g\u0660\u00df\n "), min_size=30, max_size=40)
    | st.permutations(MESSAGE_ID).map("".join)
)
@settings(max_examples=300)
def test_a_message_id_is_read_if_it_is_written_in_the_canonical_way(message_id: str) -> None:
    read = READER.read(body(message_id=message_id))
    assert isinstance(read, Incoming) == (CANONICAL_UUID.fullmatch(message_id) is not None)
    if isinstance(read, Incoming):
        assert str(read.message_id) == message_id.lower()


def test_a_message_id_that_is_not_there_is_told_like_any_other_field() -> None:
    for name in ("message_id", "order_id"):
        without = {key: value for key, value in fields().items() if key != name}
        assert refused(json.dumps(without).encode()).detail == f"{name}: Field required"


@pytest.mark.parametrize("order_id", [None, 5, "x", "", ORDER_ID[:-1]])
def test_an_order_id_must_be_a_uuid(order_id: object) -> None:
    read = refused(body(order_id=order_id))
    assert (read.reason, read.order_id) == ("invalid", None)


@pytest.mark.parametrize(
    "traceparent",
    [None, 7, "", TRACE.upper(), TRACE[:-1], TRACE + "0", TRACE.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32)],
)
def test_a_missing_or_wrong_traceparent_starts_a_trace(traceparent: object) -> None:
    document = accepted(body(traceparent=traceparent))
    assert document.traceparent == f"00-{UUID(MESSAGE_ID).hex}-{UUID(MESSAGE_ID).hex[:16]}-01"


def test_what_can_be_made_out_of_a_bad_document_is_told() -> None:
    read = refused(body(zone=None))
    assert (read.message_id, read.order_id) == (UUID(MESSAGE_ID), UUID(ORDER_ID))
    assert (read.wire_type, read.queue) == ("OrderRequested/1.0", "order_saga.orders")


def test_unreadable_bytes_have_the_same_id_each_time_and_others_have_another() -> None:
    assert refused(b"\xff{").message_id == refused(b"\xff{").message_id
    assert refused(b"\xff{").message_id != refused(b"\xff[").message_id


def test_what_is_told_of_a_bad_document_carries_no_control_character() -> None:
    read = refused(body(order_id=ORDER_ID[:-2] + "\x85"))
    assert "invalid character" in read.detail
    assert read.detail.isprintable()
