"""What is written reads back, with its cause and its trace."""

import json
from uuid import RFC_4122, UUID

from messages.contracts.order import CancelOrder
from messages.transport.document import encode
from messages.transport.handled import Outgoing
from tests.unit.document.documents import MESSAGE_ID, ORDER_ID, SOMEWHERE, TRACE, Waved, accepted, body


def test_what_is_written_reads_back_with_causation_and_trace() -> None:
    cause = accepted(body(traceparent=TRACE))
    document = encode(Outgoing(CancelOrder(order_id=UUID(ORDER_ID)), SOMEWHERE, cause))
    written = json.loads(document)
    assert set(written) == {"type", "message_id", "causation_id", "traceparent", "order_id"}
    assert written["causation_id"] == MESSAGE_ID
    assert written["message_id"] != MESSAGE_ID
    read = accepted(document)
    assert read.message == CancelOrder(order_id=UUID(ORDER_ID))
    assert read.traceparent == f"00-{TRACE[3:35]}-{read.message_id.hex[:16]}-01"


def test_what_a_job_says_continues_the_trace_it_was_given_or_starts_one() -> None:
    message = CancelOrder(order_id=UUID(ORDER_ID))
    continued = accepted(encode(Outgoing(message, SOMEWHERE, traceparent=TRACE)))
    started = accepted(encode(Outgoing(message, SOMEWHERE)))
    assert continued.traceparent[3:35] == TRACE[3:35]
    assert started.traceparent[3:35] == started.message_id.hex
    assert b"causation_id" not in started.body


def test_a_message_without_fields_is_written_and_read() -> None:
    assert accepted(encode(Outgoing(Waved(), SOMEWHERE))).message == Waved()


def test_the_same_message_said_again_and_again_has_as_many_random_ids() -> None:
    said = Outgoing(CancelOrder(order_id=UUID(ORDER_ID)), SOMEWHERE)
    ids = {UUID(str(accepted(encode(said)).message_id)) for _ in range(1_000)}
    assert len(ids) == 1_000
    assert {(each.version, each.variant) for each in ids} == {(4, RFC_4122)}
