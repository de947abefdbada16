"""What is parked: one row a message id, kept whole, whatever its text."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from messages.transport import parked
from messages.transport.incoming import Malformed
from tests.integration.parked.documents import malformed
from tests.integration.parked.replays import request_all
from tests.integration.toy.station import Station


async def test_a_message_id_is_parked_once_with_the_latest_reason(station: Station) -> None:
    message_id = uuid4()
    for reason in ("not_json", "handler_failed"):
        await parked.park(station.connection, [malformed(message_id, reason=reason)])
    (row,) = await parked.parked(station.connection)
    assert (row.message_id, row.reason, row.times) == (message_id, "handler_failed", 2)


async def test_what_came_last_under_a_message_id_is_kept_as_a_whole(station: Station) -> None:
    message_id, order_id = uuid4(), uuid4()
    await parked.park(station.connection, [malformed(message_id, wire_type="PacketsAssigned/9.0")])
    last = Malformed(b"1", message_id, "invalid", "new", "OrderRequested/1.0", order_id, "q", from_outside=True)
    await parked.park(station.connection, [last])
    (row,) = await parked.parked(station.connection)
    assert (row.type, row.order_id, row.body, row.from_outside) == ("OrderRequested/1.0", order_id, b"1", True)
    assert (row.queue, row.detail) == ("q", "new")


async def test_a_message_id_twice_in_one_batch_is_parked_once(station: Station) -> None:
    message_id = uuid4()
    first, last = malformed(message_id, detail="first"), malformed(message_id, detail="last")
    await parked.park(station.connection, [first, malformed(), last])
    assert {(row.times, row.detail) for row in await parked.parked(station.connection)} == {(1, ""), (1, "last")}


async def test_documents_are_parked_in_the_order_of_their_ids_so_that_nobody_waits_crosswise(station: Station) -> None:
    low, high = sorted([uuid4(), uuid4()])
    await parked.park(station.connection, [malformed(high), malformed(low)])
    other = await asyncpg.connect(station.url)
    async with station.connection.transaction():
        await station.rows("SELECT FROM parked WHERE message_id = $1 FOR UPDATE", low)
        parking = asyncio.create_task(parked.park(other, [malformed(high), malformed(low)]))
        await station.until(station.somebody_waits)
        await station.rows("SELECT FROM parked WHERE message_id = $1 FOR UPDATE NOWAIT", high)
    await parking
    await other.close()


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "x" * 10_000])
async def test_any_text_can_be_parked(station: Station, text: str) -> None:
    await parked.park(station.connection, [malformed(detail=text, wire_type=text[:80])])
    (row,) = await parked.parked(station.connection)
    assert len(row.detail) <= 2_000


async def test_any_body_is_kept_as_it_came(station: Station) -> None:
    body = bytes(range(256)) * 300
    await station.publish("bought", body)
    async with station.running():
        await station.until_count("parked", 1)
    (row,) = await parked.parked(station.connection)
    assert row.body == body


async def test_what_is_parked_once_more_waits_for_another_request(station: Station) -> None:
    bad = Malformed(b"{", uuid4(), "not_json", "x", queue="toy.bought")
    for _ in range(2):
        await parked.park(station.connection, [bad])
        (row,) = await parked.parked(station.connection)
        assert row.replay_requested_at is None
        assert await request_all(station.connection) == 1
    assert row.times == 2


async def test_the_oldest_is_listed_first_whatever_has_become_of_it_since(station: Station) -> None:
    first, second = malformed(), malformed()
    for document in (first, second, first):
        await parked.park(station.connection, [document])
    listed = [row.message_id for row in await parked.parked(station.connection)]
    assert listed == [first.message_id, second.message_id]
    assert [row.message_id for row in await parked.parked(station.connection, limit=1)] == [first.message_id]
