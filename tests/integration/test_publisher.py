"""What was committed is published, whatever happens to the broker or to us, and nothing else ever is."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from messages.transport import outbox, publisher
from messages.transport.batches import stall_guard
from messages.transport.batches.transactor import Transactor
from messages.transport.broker import Envelope
from messages.transport.database.postgres import Database
from messages.transport.database.transactions import Transaction
from messages.transport.database.writing import write
from messages.transport.document import Reader
from messages.transport.handled import Handled, Outgoing
from messages.transport.in_process.broker import InProcessBroker
from messages.transport.incoming import Incoming
from messages.transport.metrics import Metrics
from messages.transport.outbox import Row
from messages.transport.publisher import OutboxPublisher
from messages.transport.service import Job
from messages.transport.topology import Binding, Queue, Topology
from tests.integration.toy.service import (
    COUNTED,
    ELSEWHERE,
    FAIL,
    TELL_ELSEWHERE,
    Bought,
    Counted,
    Toy,
    bought,
)
from tests.integration.toy.station import Station, document, until

QUICK_RELAY: dict[str, Any] = {
    "publish_timeout_seconds": 0.1,
    "relay_after_seconds": 0.2,
    "relay_interval_seconds": 0.1,
}


class Moody(InProcessBroker):
    """Confirms nothing while it is `down`, nor ever what the key `sulks` gets; does not even answer while `mute`."""

    def __init__(self, beside: InProcessBroker) -> None:
        super().__init__(Topology((), (), ()))
        self._exchanges = beside._exchanges
        self.down = False
        self.mute = False
        self.sulks = ""
        self.calls: list[list[Envelope]] = []

    async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
        self.calls.append(list(envelopes))
        if self.mute:
            await asyncio.Event().wait()
        if self.down or any(envelope.to.key == self.sulks for envelope in envelopes):
            return [False] * len(envelopes)
        return await super().publish(envelopes)

    @property
    def connected(self) -> bool:
        return not self.down


@pytest.fixture
def moody(station: Station) -> Moody:
    return Moody(station.broker)


# -- kept with what it is about, and said after it


async def test_what_is_to_be_said_is_kept_in_the_transaction_that_decided_it(station: Station, moody: Moody) -> None:
    moody.down = True
    async with station.running(moody, drain_seconds=0.1):
        await station.say(bought("a", TELL_ELSEWHERE))
        await station.until_count("outbox", 2)
    rows = await station.rows(
        "SELECT exchange, key, documents, o.xmin::text = transaction AS same,"
        " publish_after - clock_timestamp() > '10 s' AS later FROM outbox o, heard ORDER BY exchange"
    )
    assert [tuple(row) for row in rows] == [
        ("commands", "elsewhere", 1, True, True),
        ("outcomes", "counted", 1, True, True),
    ]


async def test_nothing_is_said_before_the_commit(station: Station, moody: Moody) -> None:
    blocker = await asyncpg.connect(station.url)
    await blocker.execute("BEGIN; LOCK TABLE timeline IN EXCLUSIVE MODE")
    async with station.running(moody):
        await station.say(bought("a"))
        await until(station.somebody_waits)
        assert moody.calls == []
        await blocker.execute("COMMIT")
        await station.until_told(1)
    await blocker.close()


async def test_what_fails_at_the_commit_is_never_said(own_station: Station) -> None:
    await own_station.rows(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'too late'; END $$"
    )
    await own_station.rows(
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON heard DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW WHEN (NEW.text = 'bad') EXECUTE FUNCTION refuse()"
    )
    async with own_station.running():
        await own_station.say(bought("bad"), bought("good"))
        await own_station.until_count("parked", 1)
        await own_station.until_told(1)
    assert own_station.texts() == ["good"]
    assert await own_station.heard() == ["good"]


# -- a queue of somebody else's that takes nothing


async def test_a_strangers_queue_that_confirms_nothing_holds_up_nobody(station: Station, moody: Moody) -> None:
    moody.sulks = COUNTED.key
    async with station.running(moody, unconfirmed_rows=2, drain_seconds=0.1):
        for number in range(10):
            await station.say(bought(str(number), TELL_ELSEWHERE))
            await station.until_heard(number + 1)
        await station.publish("bought", b"{")
        await station.until_told(1)
        # What the same transactions said to others is confirmed, and gone with the next one.
        await station.until_count("outbox WHERE exchange <> 'outcomes'", 0)
    assert [outcome["type"] for outcome in station.outcomes()] == ["RequestRejected/1.0"]
    assert len(await station.left_in("elsewhere")) == 10


async def test_an_outcome_that_nobody_confirms_is_given_up_in_the_end(
    station: Station, moody: Moody, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "TRIES_IN_PUBLIC", 3)
    moody.sulks = COUNTED.key
    async with station.running(moody) as running:
        await station.say(bought("a", TELL_ELSEWHERE))
        await station.until_count("outbox", 0)
        await running.until_counted("outcomes_given_up", 1)
    assert [each.to for call in moody.calls for each in call].count(COUNTED) == 3


async def test_no_outcome_is_given_up_while_the_broker_is_away(
    station: Station, moody: Moody, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "TRIES_IN_PUBLIC", 2)
    moody.down = True
    async with station.running(moody):
        await station.say(bought("a"))
        await until(lambda: _true(len(moody.calls) > 4))
        moody.down = False
        await station.until_told(1)


# -- a broker that is away


async def test_what_could_not_be_said_is_said_once_the_broker_is_back(station: Station, moody: Moody) -> None:
    moody.down = True
    async with station.running(moody):
        for number in range(5):
            await station.say(bought(str(number), TELL_ELSEWHERE))
            await station.until_heard(number + 1)
        await until(lambda: _true(len(moody.calls) > 10))
        assert station.texts() == []
        moody.down = False
        await station.until_told(5)
        await station.until_count("outbox", 0)
    assert sorted(station.texts()) == ["0", "1", "2", "3", "4"]
    assert len(await station.left_in("elsewhere")) == 5


async def _true(value: bool) -> bool:
    return value


async def test_one_queue_that_is_missing_holds_up_nobody_else(station: Station) -> None:
    station.broker.delete(ELSEWHERE.key)
    async with station.running():
        await station.say(bought("a", TELL_ELSEWHERE), bought("b"))
        await station.until_told(2)
        await station.until_count("outbox", 1)
        station.broker.declare(
            Topology((), (Queue(ELSEWHERE.key, {}),), (Binding(ELSEWHERE.exchange, ELSEWHERE.key, ELSEWHERE.key),))
        )
        await station.until_count("outbox", 0)
    assert [json.loads(body)["text"] for body in await station.left_in("elsewhere")] == ["a"]


async def test_no_more_work_is_taken_while_too_little_is_confirmed(station: Station, moody: Moody) -> None:
    moody.down = True
    async with station.running(moody, unconfirmed_rows=5, batch_documents=1):  # of two rows each
        await station.say(*(bought(str(number), TELL_ELSEWHERE) for number in range(10)))
        await _takes_no_more_than(station, moody, 3)
        moody.down = False
        await station.until_heard(10)
        await station.until_told(10)


async def test_what_is_public_takes_no_more_memory_than_the_rest_while_the_broker_is_away(
    station: Station, moody: Moody
) -> None:
    moody.down = True
    async with station.running(moody, unconfirmed_rows=3, batch_documents=1):
        await station.say(*(bought(str(number)) for number in range(10)))
        await _takes_no_more_than(station, moody, 3)
        moody.down = False
        await station.until_told(10)


async def test_a_broker_that_confirms_nothing_does_not_flood_the_log(station: Station, moody: Moody) -> None:
    moody.down = True
    with capture_logs() as logs:
        async with station.running(moody, batch_documents=1):
            await station.say(*(bought(str(number)) for number in range(20)))
            await station.until_heard(20)

            async def published_often() -> bool:
                return len(moody.calls) > 60

            await until(published_often)
            moody.down = False
    told = [line for line in logs if line["event"] == "not confirmed, publishing again"]
    kinds = [(line["log_level"], *line["addresses"]) for line in told]
    assert len(kinds) == len(set(kinds)) > 1
    assert len({line["log_level"] for line in told}) == 2


async def _takes_no_more_than(station: Station, moody: Moody, number: int) -> None:
    await station.until_heard(number)
    calls = len(moody.calls)
    await until(lambda: _true(len(moody.calls) > calls + 4))
    assert await station.count("heard") == number


async def test_a_job_with_more_to_say_waits_too_while_too_little_is_confirmed(station: Station, moody: Moody) -> None:
    runs = 0

    async def talk(_tx: Transaction) -> Handled:
        nonlocal runs
        runs += 1
        return Handled(outgoing=[Outgoing(Counted(order_id=uuid4(), text=str(runs)), COUNTED)], more=runs < 3)

    moody.down = True
    station.toy.jobs = [Job("talkative", 3_600, talk)]
    async with station.running(moody, unconfirmed_rows=1):
        await until(lambda: _true(len(moody.calls) > 2))
        assert runs == 1
        moody.down = False
        await station.until_told(3)


async def test_a_public_row_is_confirmed_once_all_of_its_envelopes_are(station: Station) -> None:
    class Halting(InProcessBroker):
        """Takes the first of what it is given, and then nothing until it is told to go on."""

        def __init__(self, beside: InProcessBroker) -> None:
            super().__init__(Topology((), (), ()))
            self._exchanges = beside._exchanges
            self.halted, self.go_on = asyncio.Event(), asyncio.Event()

        async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
            if len(envelopes) > 1:
                return [*await super().publish(envelopes[:1]), *([False] * (len(envelopes) - 1))]
            self.halted.set()
            await self.go_on.wait()
            return await super().publish(envelopes)

    broker = Halting(station.broker)
    await broker.start()
    saying = OutboxPublisher(broker, 64)
    (row,) = outbox.pack([Outgoing(Counted(order_id=uuid4(), text=text), COUNTED) for text in ("one", "other")])
    saying.offer([row])
    await asyncio.wait_for(broker.halted.wait(), 10)
    assert saying.take_confirmed() == []
    broker.go_on.set()
    await saying.drain()
    assert saying.take_confirmed() == [row.id]
    assert station.texts() == ["one", "other"]
    await broker.close()


async def test_who_cannot_say_anything_leaves_what_comes_to_others(
    station: Station, moody: Moody, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stall_guard, "HELD_SECONDS", 0.3)
    moody.down = True
    async with station.running(moody, unconfirmed_rows=1) as mute:
        await station.say(bought("a", TELL_ELSEWHERE))
        await until(lambda: _true(mute.process._intake.paused))
        async with station.running():
            await station.say(*(bought(str(number)) for number in range(10)))
            await station.until_heard(11)
        moody.down = False
        await station.say(bought("b"))
        await station.until_told(12)
        await until(lambda: _true(not mute.process._intake.paused))


async def test_a_process_that_waits_for_confirms_stops_in_time_and_leaves_the_rest_to_a_relay(
    station: Station, moody: Moody
) -> None:
    moody.down = True
    async with station.running(moody, unconfirmed_rows=1, drain_seconds=1.0, **QUICK_RELAY) as running:
        await station.say(bought("a", TELL_ELSEWHERE), bought("b", TELL_ELSEWHERE))
        await station.until_heard(2)
        await station.say(bought("c"))
        running.stop.set()
        await asyncio.wait_for(running.task, 3)
    calls = len(moody.calls)
    assert await station.count("outbox") == 2
    async with station.running(**QUICK_RELAY):
        await station.until_told(3)
    assert len(moody.calls) == calls
    assert sorted(station.texts()) == ["a", "b", "c"]


async def test_a_stopping_process_waits_for_confirms_that_come(station: Station, moody: Moody) -> None:
    moody.down = True
    async with station.running(moody) as running:
        await station.say(bought("a"))
        await station.until_heard(1)
        running.stop.set()
        await until(lambda: _true(len(moody.calls) > 1))
        moody.down = False
        await running.task
    assert station.texts() == ["a"]
    assert await station.count("outbox") == 0


# -- a process that dies


async def test_what_a_crash_left_unsaid_another_process_says(station: Station, moody: Moody) -> None:
    moody.mute = True
    async with station.running(moody, drain_seconds=0.1, **QUICK_RELAY):
        await station.say(*(bought(str(number), TELL_ELSEWHERE) for number in range(3)))
        await station.until_heard(3)
        await until(lambda: _true(bool(moody.calls)))
    assert station.texts() == []
    async with station.running(**QUICK_RELAY):
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
    async with station.running(relay_interval_seconds=0.1):
        await station.until_told(120)
        await station.until_count("outbox", 0)


async def test_no_two_relays_take_the_same_row(station: Station) -> None:
    await station.rows(
        "INSERT INTO outbox (exchange, key, body, documents, publish_after)"
        " SELECT 'outcomes', 'counted', '{}', 1, now() - make_interval(secs => n) FROM generate_series(1, 10) n"
    )
    first, second = await asyncpg.connect(station.url), await asyncpg.connect(station.url)
    async with first.transaction(), second.transaction():
        mine = await outbox.claim_overdue(first, 6, relay_after_seconds=15)
        others = await outbox.claim_overdue(second, 6, relay_after_seconds=15)
    assert [len(mine), len(others)] == [6, 4]
    assert not {row.id for row in mine} & {row.id for row in others}
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


# -- envelopes


async def test_a_batch_leaves_in_envelopes_of_500_and_one_outcome_a_document(station: Station, moody: Moody) -> None:
    await station.say(*(bought(str(number), TELL_ELSEWHERE) for number in range(501)))
    async with station.running(moody, batch_documents=5_000, new_work_prefetch=2_000, batch_bytes=16_000_000):
        await station.until_told(501)
        await station.until_count("outbox", 0)
    elsewhere = [body.split(b"\n") for body in await station.left_in("elsewhere")]
    assert [len(documents) for documents in elsewhere] == [500, 1]
    texts = [json.loads(document)["text"] for documents in elsewhere for document in documents]
    assert texts == station.texts() == [str(number) for number in range(501)]
    ids = [envelope.message_id for call in moody.calls for envelope in call]
    assert len(ids) == len(set(ids)) == 503


async def test_an_outcome_names_its_cause_and_continues_its_trace(station: Station) -> None:
    asked = document(bought("a"))
    await station.publish("bought", asked)
    async with station.running():
        await station.until_told(1)
    (outcome,) = station.outcomes()
    assert outcome["causation_id"] == json.loads(asked)["message_id"]
    assert outcome["traceparent"][3:35] == json.loads(asked)["traceparent"][3:35]


# -- confirmed rows are deleted


class Desk:
    """A transactor without a process around it: nothing happens but what a test does."""

    def __init__(self, station: Station, broker: Moody) -> None:
        self.toy = Toy()
        self.database = Database(station.url)
        self.publisher = OutboxPublisher(broker, 64)
        self.transactor = Transactor(self.toy.service(), self.database, self.publisher, Metrics(), 15.0)

    async def hear(self, message: Bought) -> None:
        read = Reader([Bought]).read(document(message))
        assert isinstance(read, Incoming)
        await self.transactor.handle([read])

    async def confirmed(self) -> None:
        await until(lambda: _true(not self.publisher._unconfirmed))


@pytest.fixture
async def desk(station: Station, moody: Moody) -> AsyncIterator[Desk]:
    desk = Desk(station, moody)
    await desk.database.open()
    await moody.start()
    yield desk
    await desk.publisher.abandon()
    await moody.close()
    await desk.database.close()


async def test_a_confirmed_row_is_deleted_with_the_next_batch(station: Station, desk: Desk) -> None:
    await desk.hear(bought("a"))
    await desk.confirmed()
    ((first,),) = await station.rows("SELECT id FROM outbox")
    await desk.hear(bought("b"))
    ((second,),) = await station.rows("SELECT id FROM outbox")
    assert second != first


async def test_a_batch_that_failed_leaves_confirmed_rows_to_the_next(station: Station, desk: Desk) -> None:
    await desk.hear(bought("a"))
    await desk.confirmed()
    with pytest.raises(ValueError, match="cannot handle"):
        await desk.hear(bought("b", FAIL))
    assert await station.count("outbox") == 1
    await desk.hear(bought("c"))
    await desk.confirmed()
    await desk.transactor.run(_nothing)
    assert await station.count("outbox") == 0


async def _nothing(_tx: Transaction) -> Handled:
    return Handled()


async def test_a_batch_whose_commit_was_lost_gives_confirmed_rows_back(station: Station, desk: Desk) -> None:
    async def terminate(tx: Transaction) -> Handled:
        await tx.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return Handled()

    await desk.hear(bought("a"))
    await desk.confirmed()
    with pytest.raises(Exception, match=r"terminat|closed"):
        await desk.transactor.run(terminate)
    await desk.transactor.run(_nothing)
    assert await station.count("outbox") == 0


async def test_rows_in_one_offer_are_confirmed_one_by_one(station: Station, desk: Desk) -> None:
    station.broker.delete(ELSEWHERE.key)
    await desk.hear(bought("a", TELL_ELSEWHERE))
    await until(lambda: _true(len(station.told.arrived) == 1))
    await desk.transactor.run(_nothing)
    ((key,),) = await station.rows("SELECT key FROM outbox")
    assert key == "elsewhere"
    assert len(station.told.arrived) == 1


async def test_when_it_is_idle_confirmed_rows_are_gone_within_seconds(station: Station) -> None:
    async with station.running():
        await station.say(bought("a"))
        await station.until_told(1)
        async with asyncio.timeout(10):  # long before it would be said again
            await station.until_count("outbox", 0)
