"""What a process that died left unsaid, another one says, and no two say the same."""

from contextlib import AsyncExitStack
from uuid import uuid4

import asyncpg

from messages.transport import outbox
from messages.transport.database.writing import write
from messages.transport.outbox import Row
from tests.integration.publisher.moody import QUICK_RELAY, SAY_ONCE, Moody
from tests.integration.toy.service import COUNTED, TELL_ELSEWHERE, Counted, bought
from tests.integration.toy.station import Station, document
from tests.integration.toy.waiting import true, until


async def test_what_a_crash_left_unsaid_another_process_says(station: Station, moody: Moody) -> None:
    moody.mute = True
    async with station.running(moody, drain_seconds=0.1, **QUICK_RELAY):
        await station.say(*(bought(str(number), TELL_ELSEWHERE) for number in range(3)))
        await station.until_heard(3)
        await until(lambda: true(bool(moody.calls)))
    assert station.texts() == []
    async with station.running(**SAY_ONCE):
        await station.until_told(3)
        await station.until_count("outbox", 0)
    assert station.texts() == ["0", "1", "2"]
    (envelope,) = await station.left_in("elsewhere")
    assert len(envelope.split(b"\n")) == 3


async def test_a_relay_does_not_say_what_its_own_process_is_saying(station: Station, moody: Moody) -> None:
    moody.mute = True
    async with station.running(moody, drain_seconds=0.1, **QUICK_RELAY) as running:
        await station.say(bought("a"))
        await running.until_counted("job_runs", 8, job="relay", result="done")
        assert len(moody.calls) == 1


async def test_a_relay_says_what_is_left_beyond_one_batch_of_it_at_once(station: Station) -> None:
    await station.rows(
        "INSERT INTO outbox (exchange, key, body, documents, publish_after)"
        " SELECT 'outcomes', 'counted', $1, 1, now() FROM generate_series(1, 120)",
        document(Counted(order_id=uuid4(), text="again")),
    )
    async with station.running(relay_interval_seconds=300.0):
        await station.until_told(120)
        await station.until_count("outbox", 0)


async def test_no_two_relays_take_the_same_row(station: Station) -> None:
    await station.rows(
        "INSERT INTO outbox (exchange, key, body, documents, publish_after)"
        " SELECT 'outcomes', 'counted', n::text::bytea, 1, now() - make_interval(secs => n)"
        " FROM generate_series(1, 10) n"
    )
    first, second = await asyncpg.connect(station.url), await asyncpg.connect(station.url)
    async with first.transaction(), second.transaction():
        mine = await outbox.claim_overdue(first, 6, relay_after_seconds=15)
        others = await outbox.claim_overdue(second, 6, relay_after_seconds=15)
    # Those that wait for longest come first.
    assert sorted(int(row.body) for row in mine) == [5, 6, 7, 8, 9, 10]
    assert sorted(int(row.body) for row in others) == [1, 2, 3, 4]
    assert await outbox.claim_overdue(first, 10, relay_after_seconds=15) == []
    for connection in (first, second):
        await connection.close()


async def test_a_row_that_is_not_overdue_is_left_to_its_publisher(station: Station) -> None:
    async with station.connection.transaction():
        await write(station.connection, [*outbox.keep([Row(COUNTED, b"{}", 1)], relay_after_seconds=60)])
        assert await outbox.claim_overdue(station.connection, 10, relay_after_seconds=60) == []


async def test_two_processes_on_one_database_say_everything_between_them(station: Station) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(station.running(batch_documents=3, **QUICK_RELAY))
        await station.say(*(bought(str(number), TELL_ELSEWHERE) for number in range(60)))
        await station.until_heard(60)
        await station.until_count("outbox", 0)
    assert set(station.texts()) == {str(number) for number in range(60)}
