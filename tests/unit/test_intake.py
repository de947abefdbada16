"""What is taken next: answers first, within the caps, new work only while there is room, and nothing lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import pytest
from structlog.testing import capture_logs

from messages.transport.addresses import COMMANDS, Address
from messages.transport.batches import intake as intake_module
from messages.transport.batches import pacing, stall_guard
from messages.transport.batches.intake import Intake
from messages.transport.batches.pacing import LONGEST_SECONDS, Pace
from messages.transport.batches.taken import Taken
from messages.transport.broker import MANY_DOCUMENTS, ONE_DOCUMENT, Arrival, Envelope
from messages.transport.in_process.broker import InProcessBroker
from messages.transport.topology import Binding, Exchange, Queue, Topology

ANSWERS, ORDERS = "answers", "orders"
DELIVERY_LIMIT = 100
TOPOLOGY = Topology(
    (Exchange(COMMANDS, "direct"),),
    tuple(Queue(name, {"x-delivery-limit": DELIVERY_LIMIT}) for name in (ANSWERS, ORDERS)),
    tuple(Binding(COMMANDS, name, name) for name in (ANSWERS, ORDERS)),
)
MANY = 1_000
POISON = "poison"
HELD_SECONDS = 0.01


class DatabaseIsDown(Exception): ...


@dataclass
class Place:
    """An intake, the broker it takes from, and how many orders are undecided."""

    broker: InProcessBroker = field(default_factory=lambda: InProcessBroker(TOPOLOGY))
    undecided: int = 0
    counted: int = 0
    database_is_down: bool = False
    intake: Intake = field(init=False)

    async def open(
        self,
        *,
        documents: int = MANY,
        size_bytes: int = MANY,
        limit: int | None = None,
        prefetch: int = MANY,
        pace: Pace | None = None,
    ) -> Intake:
        self.intake = Intake(
            documents=documents,
            size_bytes=size_bytes,
            capacity=None if limit is None else partial(self._capacity, limit),
            pace=pace,
        )
        await self.broker.start()
        await self.intake.subscribe(self.broker, (ANSWERS, prefetch), (ORDERS, prefetch))
        return self.intake

    def watch_acknowledgements(self) -> list[str]:
        """What the last ones were of, from now on."""
        told: list[str] = []
        for subscription in self.intake._subscriptions:
            acknowledge = subscription.acknowledge

            async def watched(last: Arrival, acknowledge: Callable[[Arrival], Awaitable[None]] = acknowledge) -> None:
                told.append(last.body.decode())
                await acknowledge(last)

            subscription.acknowledge = watched  # type: ignore[method-assign]
        return told

    async def say(self, queue: str, *bodies: str, content_type: str = ONE_DOCUMENT) -> None:
        envelopes = [Envelope(Address(COMMANDS, queue), body.encode(), content_type, body) for body in bodies]
        assert all(await self.broker.publish(envelopes))

    def lose_consumer(self, times: int) -> None:
        for _ in range(times):
            self.broker.break_connection()

    async def acknowledge_and_lose_consumer(self, batch: list[Taken]) -> list[str]:
        """What comes back is what was not acknowledged."""
        await self.intake.acknowledge(batch)
        await self.intake.acknowledge_all()
        self.broker.break_connection()
        return bodies(await self.intake.take())

    async def _capacity(self, limit: int) -> int:
        self.counted += 1
        if self.database_is_down:
            raise DatabaseIsDown
        return limit - self.undecided


def bodies(batch: list[Taken]) -> list[str]:
    return [taken.arrival.body.decode() for taken in batch]


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    place = Place()
    yield place
    await place.intake.stop()
    await place.intake.acknowledge_all()
    await place.broker.close()


@pytest.fixture
def not_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is owed stays owed, for as long as a test can take."""
    monkeypatch.setattr(intake_module, "ACKNOWLEDGE_SECONDS", 3_600.0)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is held for long sooner than in earnest."""
    monkeypatch.setattr(stall_guard, "HELD_SECONDS", HELD_SECONDS)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110  what is waited for sets no event
            await asyncio.sleep(0.001)


async def test_answers_are_taken_before_new_work(place: Place) -> None:
    intake = await place.open()
    await place.say(ORDERS, "order 1", "order 2")
    await place.say(ANSWERS, "answer 1", "answer 2")
    assert bodies(await intake.take()) == ["answer 1", "answer 2", "order 1", "order 2"]


async def test_when_it_is_quiet_one_document_is_taken_as_soon_as_it_comes(place: Place) -> None:
    intake = await place.open()
    taking = asyncio.create_task(intake.take())
    await asyncio.sleep(0)
    assert not taking.done()
    await place.say(ORDERS, "order 1")
    assert bodies(await asyncio.wait_for(taking, 5)) == ["order 1"]


async def test_waiting_for_a_document_can_be_ended(place: Place) -> None:
    intake = await place.open()
    taking = asyncio.create_task(intake.take())
    await asyncio.sleep(0)
    intake.wake()
    assert await asyncio.wait_for(taking, 5) == []


async def test_a_batch_is_capped_in_documents(place: Place) -> None:
    intake = await place.open(documents=5)
    await place.say(ANSWERS, "a1\na2", "a3", content_type=MANY_DOCUMENTS)
    await place.say(ORDERS, "o1", "o2\no3", content_type=MANY_DOCUMENTS)
    assert bodies(await intake.take()) == ["a1\na2", "a3", "o1"]
    assert bodies(await intake.take()) == ["o2\no3"]


async def test_a_batch_is_capped_in_bytes(place: Place) -> None:
    intake = await place.open(size_bytes=10)
    await place.say(ANSWERS, "aaaa")
    await place.say(ORDERS, "bbbb", "cccc")
    assert bodies(await intake.take()) == ["aaaa", "bbbb"]
    assert bodies(await intake.take()) == ["cccc"]


@pytest.mark.parametrize("queue", [ANSWERS, ORDERS])
async def test_an_arrival_larger_than_a_batch_is_taken_alone(place: Place, queue: str) -> None:
    intake = await place.open(documents=2, size_bytes=5)
    for body in ("x", "1\n2\n3", "xxxxxxxx", "y"):
        await place.say(queue, body, content_type=MANY_DOCUMENTS)
    assert [bodies(await intake.take()) for _ in range(4)] == [["x"], ["1\n2\n3"], ["xxxxxxxx"], ["y"]]


async def test_the_lines_of_a_single_document_are_not_counted_as_documents(place: Place) -> None:
    intake = await place.open(documents=2, limit=2)
    await place.say(ORDERS, "{\n\n\n}", "{}")
    assert len(await intake.take()) == 2


async def test_answers_that_fill_a_batch_leave_no_room_for_new_work(place: Place) -> None:
    intake = await place.open(documents=2)
    await place.say(ORDERS, "o1")
    await place.say(ANSWERS, "a1", "a2", "a3", "a4")
    assert [bodies(await intake.take()) for _ in range(3)] == [["a1", "a2"], ["a3", "a4"], ["o1"]]


async def test_what_was_redelivered_more_than_twice_is_taken_alone(place: Place) -> None:
    intake = await place.open()
    await place.say(ANSWERS, "a1", "a2")
    await place.say(ORDERS, "o1", "o2")
    place.lose_consumer(2)
    assert {taken.arrival.failures for taken in await intake.take()} == {2}
    place.lose_consumer(1)
    await place.say(ANSWERS, "a3")
    await place.say(ORDERS, "o3")
    batches: list[list[str]] = []
    while sum(map(len, batches)) < 6:
        batch = await asyncio.wait_for(intake.take(), 5)
        batches.append(bodies(batch))
        await intake.acknowledge(batch)
    assert sorted(body for batch in batches for body in batch) == ["a1", "a2", "a3", "o1", "o2", "o3"]
    assert all([suspect] in batches for suspect in ("a1", "a2", "o1", "o2"))


async def test_nothing_new_is_taken_beside_an_answer_that_is_taken_alone(place: Place) -> None:
    intake = await place.open()
    await place.say(ANSWERS, "a1")
    place.lose_consumer(3)
    await place.say(ORDERS, "o1")
    assert [bodies(await intake.take()) for _ in range(2)] == [["a1"], ["o1"]]


async def test_new_work_waits_while_too_many_orders_are_undecided_and_answers_do_not(place: Place) -> None:
    intake = await place.open(limit=10)
    place.undecided = 10
    await place.say(ORDERS, "o1")
    assert await intake.take() == []
    taking = asyncio.create_task(intake.take())
    await place.say(ANSWERS, "a1")
    assert bodies(await asyncio.wait_for(taking, 5) or await intake.take()) == ["a1"]
    place.undecided = 9
    assert bodies(await intake.take()) == ["o1"]


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def test_new_work_waits_for_its_time_and_answers_do_not(place: Place) -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.begin(MANY)
    intake = await place.open(pace=pace)
    await place.say(ORDERS, "o1")
    assert await intake.take() == []
    await place.say(ANSWERS, "a1")
    assert bodies(await intake.take()) == ["a1"]
    clock.now += LONGEST_SECONDS
    assert bodies(await intake.take()) == ["o1"]


async def test_what_has_begun_is_what_the_next_waits_for(place: Place) -> None:
    clock = Clock()
    intake = await place.open(pace=Pace(clock), size_bytes=1_000_000)
    await place.say(ANSWERS, *(f"a{number}" for number in range(400)))
    assert len(await intake.take()) == 400
    await place.say(ORDERS, *(f"o{number}" for number in range(400)))
    assert len(await intake.take()) == 400
    await place.say(ORDERS, "next")
    assert await intake.take() == []
    clock.now += LONGEST_SECONDS
    assert bodies(await intake.take()) == ["next"]


async def test_who_waits_until_new_work_may_begin_can_be_woken(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "LONGEST_SECONDS", 60.0)
    pace = Pace()
    pace.begin(1_000_000)
    intake = await place.open(pace=pace)
    await place.say(ORDERS, "o1")
    taking = asyncio.create_task(intake.take())
    await asyncio.sleep(0)
    intake.wake()
    assert await asyncio.wait_for(taking, 5) == []


async def test_only_as_much_new_work_is_taken_as_there_is_room_for(place: Place) -> None:
    intake = await place.open(limit=10)
    place.undecided = 7
    await place.say(ORDERS, "o1", "o2", "o3", "o4", "o5")
    assert bodies(await intake.take()) == ["o1", "o2", "o3"]
    place.undecided = 10
    assert await intake.take() == []
    place.undecided = 8
    assert bodies(await intake.take()) == ["o4", "o5"]


async def test_undecided_orders_are_counted_only_when_the_room_is_used_up(place: Place) -> None:
    intake = await place.open(limit=100)
    for number in range(100):
        await place.say(ORDERS, f"o{number}")
        await intake.take()
    assert place.counted == 1


async def test_an_envelope_with_more_orders_than_there_is_room_for_is_taken_all_the_same(place: Place) -> None:
    intake = await place.open(limit=2)
    await place.say(ORDERS, "1\n2\n3\n4", "5", content_type=MANY_DOCUMENTS)
    assert bodies(await intake.take()) == ["1\n2\n3\n4"]
    place.undecided = 4
    assert await intake.take() == []


async def test_a_full_house_is_looked_at_again_soon_and_not_all_the_time(place: Place) -> None:
    intake = await place.open(limit=1)
    place.undecided = 1
    await place.say(ORDERS, "o1")
    began = asyncio.get_running_loop().time()
    for _ in range(5):
        assert await intake.take() == []
    assert place.counted <= 5
    assert asyncio.get_running_loop().time() - began > 0.05


async def test_answers_are_not_lost_when_undecided_orders_cannot_be_counted(place: Place) -> None:
    intake = await place.open(limit=1)
    await place.say(ANSWERS, "a1")
    await place.say(ORDERS, "o1")
    place.database_is_down = True
    with pytest.raises(DatabaseIsDown):
        await intake.take()
    place.database_is_down = False
    assert bodies(await intake.take()) == ["a1", "o1"]


async def test_an_answer_that_comes_within_a_moment_is_taken_beside_what_was_taken(place: Place) -> None:
    intake = await place.open(documents=2)
    await place.say(ANSWERS, "a1")
    batch = await intake.take()
    coming = asyncio.create_task(intake.more(5.0, batch))
    await asyncio.sleep(0)
    await place.say(ORDERS, "o1")
    assert await coming == [], "new work is none, and is not taken"
    await place.say(ANSWERS, "a2", "a3")
    assert bodies(await intake.more(5.0, batch)) == ["a2"]
    assert bodies(await intake.take()) == ["a3", "o1"]


async def test_what_may_kill_its_consumer_is_not_taken_beside_others(place: Place) -> None:
    intake = await place.open()
    await place.say(ANSWERS, "killer")
    place.lose_consumer(3)
    assert await intake.more(0.01, []) == []
    assert bodies(await intake.take()) == ["killer"]


async def test_nothing_is_taken_beside_what_uses_up_the_bytes_of_a_batch(place: Place) -> None:
    intake = await place.open(size_bytes=10)
    await place.say(ANSWERS, "12345678")
    batch = await intake.take()
    await place.say(ANSWERS, "abc")
    assert await intake.more(0.01, batch) == []
    assert bodies(await intake.take()) == ["abc"]


async def test_nobody_waits_for_longer_than_a_moment(place: Place) -> None:
    intake = await place.open()
    assert await asyncio.wait_for(intake.more(0.01, []), 5) == []


async def test_acknowledged_is_what_was_taken_and_nothing_after_it(place: Place) -> None:
    intake = await place.open(documents=3)
    await place.say(ANSWERS, "a1", "a2")
    await place.say(ORDERS, "o1", "o2")
    batch = await intake.take()
    assert bodies(batch) == ["a1", "a2", "o1"]
    assert await place.acknowledge_and_lose_consumer(batch) == ["o2"]


@pytest.mark.usefixtures("not_by_itself")
async def test_a_few_batches_are_acknowledged_together(place: Place) -> None:
    intake = await place.open()
    told = place.watch_acknowledgements()
    for body in ("a1", "a2", "a3"):
        await place.say(ANSWERS, body)
        await intake.acknowledge(await intake.take())
    assert told == []
    await intake.acknowledge_all()
    assert told == ["a3"]


async def test_what_is_owed_is_acknowledged_a_moment_later(place: Place) -> None:
    intake = await place.open()
    told = place.watch_acknowledgements()
    await place.say(ANSWERS, "a1")
    await intake.acknowledge(await intake.take())
    await until(lambda: told == ["a1"])


@pytest.mark.usefixtures("not_by_itself")
async def test_a_broker_that_may_deliver_no_more_is_not_kept_waiting(place: Place) -> None:
    intake = await place.open(prefetch=8)
    told = place.watch_acknowledgements()
    for body in ("a1", "a2", "a3"):
        await place.say(ANSWERS, body)
        await intake.acknowledge(await intake.take())
    assert told == ["a2"]
    await intake.acknowledge_all()
    assert told == ["a2", "a3"]


async def test_what_came_before_a_lost_connection_is_not_acknowledged_on_the_next(place: Place) -> None:
    intake = await place.open(documents=1)
    await place.say(ANSWERS, "a1", "a2")
    batch = await intake.take()
    place.broker.break_connection()
    assert await place.acknowledge_and_lose_consumer(batch) == ["a1"]


@pytest.mark.parametrize(("killing", "other"), [(ANSWERS, ORDERS), (ORDERS, ANSWERS)])
async def test_what_kills_its_consumer_takes_nothing_with_it(place: Place, killing: str, other: str) -> None:
    intake = await place.open(prefetch=20)
    await place.say(other, "29")
    await place.say(killing, *map(str, range(10)), POISON, *map(str, range(10, 29)))
    deaths, handled = 0, set[str]()
    while len(handled) < 30 or deaths <= DELIVERY_LIMIT:
        batch = await asyncio.wait_for(intake.take(), 5)
        if POISON in bodies(batch):
            deaths += 1
            place.lose_consumer(1)
        else:
            handled |= set(bodies(batch))
            await intake.acknowledge(batch)
    assert handled == set(map(str, range(30)))


@pytest.mark.usefixtures("not_by_itself")
async def test_what_was_taken_alone_is_acknowledged_at_once(place: Place) -> None:
    intake = await place.open()
    told = place.watch_acknowledgements()
    await place.say(ORDERS, "o1")
    place.lose_consumer(3)
    await intake.acknowledge(await intake.take())
    assert told == ["o1"]


@pytest.mark.usefixtures("not_by_itself")
async def test_what_was_handled_is_acknowledged_before_something_that_may_kill_is_taken(place: Place) -> None:
    intake = await place.open()
    told = place.watch_acknowledgements()
    await place.say(ORDERS, "killer")
    place.lose_consumer(3)
    await place.say(ANSWERS, "handled")
    await intake.acknowledge(await intake.take())
    assert told == []
    assert bodies(await intake.take()) == ["killer"]
    assert told == ["handled"]


async def test_it_is_quiet_while_no_answer_waits(place: Place) -> None:
    intake = place.intake = Intake(documents=1, size_bytes=1)
    assert intake.quiet
    await place.open()
    await place.say(ORDERS, "o1")
    assert place.intake.quiet
    await place.say(ANSWERS, "a1")
    assert not place.intake.quiet
    assert dict(place.intake.waiting()) == {ANSWERS: 1, ORDERS: 1}


@pytest.mark.usefixtures("soon")
async def test_while_a_batch_does_not_come_to_an_end_what_comes_is_left_to_others(place: Place) -> None:
    intake = await place.open()
    await place.say(ANSWERS, "a1")
    await place.say(ORDERS, "o1")
    batch = await intake.take()
    await until(lambda: intake.paused)
    await place.say(ANSWERS, "a2")
    await place.say(ORDERS, "o2")
    assert dict(intake.waiting()) == {ANSWERS: 0, ORDERS: 0}
    await intake.acknowledge(batch)
    assert not intake.paused
    assert bodies(await intake.take()) == ["a2", "o2"]


@pytest.mark.usefixtures("soon")
async def test_while_room_cannot_be_counted_what_comes_is_left_to_others(place: Place) -> None:
    intake = await place.open(limit=10)
    place.database_is_down = True
    await place.say(ORDERS, "o1")
    while not intake.paused:
        with pytest.raises(DatabaseIsDown):
            await intake.take()
        await asyncio.sleep(0.001)
    await place.say(ORDERS, "o2")
    place.database_is_down = False
    batch = await intake.take()
    assert bodies(batch) == ["o1"]
    await intake.acknowledge(batch)
    assert bodies(await intake.take()) == ["o2"]


@pytest.mark.usefixtures("soon")
async def test_a_full_house_hears_the_answers_that_empty_it(place: Place) -> None:
    intake = await place.open(limit=1)
    place.undecided = 1
    await place.say(ORDERS, "o1")
    for _ in range(5):
        assert await intake.take() == []
    assert not intake.paused


@pytest.mark.usefixtures("soon")
async def test_who_stands_by_and_has_lost_what_he_had_does_not_wait_for_ever(place: Place) -> None:
    intake = await place.open(limit=10)
    place.database_is_down = True
    await place.say(ORDERS, "o1")
    with pytest.raises(DatabaseIsDown):
        await intake.take()
    await until(lambda: all(each._paused for each in place.broker._subscriptions))
    place.lose_consumer(1)
    place.database_is_down = False
    assert bodies(await asyncio.wait_for(intake.take(), 5)) == ["o1"]


@pytest.mark.usefixtures("soon")
async def test_who_is_paused_is_not_paused_again(place: Place) -> None:
    intake = await place.open()
    with capture_logs() as logs:
        for _ in range(2):
            intake.expect_progress()
            await until(lambda: intake.paused)
            await asyncio.sleep(5 * HELD_SECONDS)
    assert len(logs) == 1


@pytest.mark.usefixtures("soon")
async def test_nobody_stands_by_who_waits_for_something_to_come(place: Place) -> None:
    intake = await place.open()
    taking = asyncio.create_task(intake.take())
    await asyncio.sleep(5 * HELD_SECONDS)
    intake.wake()
    assert await asyncio.wait_for(taking, 5) == []
    await asyncio.sleep(5 * HELD_SECONDS)
    assert not intake.paused


@pytest.mark.usefixtures("soon")
async def test_what_comes_while_everything_begins_to_come_again_is_not_slept_over(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = await place.open()
    intake.expect_progress()
    await until(lambda: all(each._paused for each in place.broker._subscriptions))
    await place.say(ANSWERS, "a1")
    _, orders = place.broker._subscriptions

    async def resume() -> None:
        await asyncio.sleep(0.01)  # RabbitMQ takes a round trip for each queue

    monkeypatch.setattr(orders, "resume", resume)
    assert bodies(await asyncio.wait_for(intake.take(), 5)) == ["a1"]


async def test_a_stopped_intake_takes_no_more(place: Place) -> None:
    intake = await place.open()
    await intake.stop()
    await place.say(ANSWERS, "a1")
    await place.say(ORDERS, "o1")
    assert list(intake.waiting()) == [(ANSWERS, 0), (ORDERS, 0)]
