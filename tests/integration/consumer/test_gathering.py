"""What belongs together is waited for, for a moment, and then handled as one batch."""

import asyncio
from collections.abc import Sequence

import pytest

from messages.transport.batches import consumer
from messages.transport.batches.intake import Intake
from messages.transport.batches.taken import Taken
from messages.transport.in_process import queues
from messages.transport.incoming import Incoming
from tests.integration.toy.faults import lose_three_times
from tests.integration.toy.service import Paid, bought, paid
from tests.integration.toy.station import Station


class Pairs:
    """Whatever is heard first belongs together two by two."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.closed: list[int] = []

    def is_incomplete(self, documents: Sequence[Incoming]) -> bool:
        self.asked.set()
        return len(documents) % 2 == 1 and isinstance(documents[0].message, Paid)

    def close(self, documents: Sequence[Incoming]) -> None:
        self.closed.append(len(documents))


def watch_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how many seconds each wait is to last, from now on."""
    waited: list[float] = []
    wait = Intake.more

    async def watched(self: Intake, seconds: float, taken: Sequence[Taken]) -> list[Taken]:
        waited.append(seconds)
        return await wait(self, seconds, taken)

    monkeypatch.setattr(Intake, "more", watched)
    return waited


async def test_what_belongs_together_and_comes_a_moment_later_is_one_batch(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "GATHER_SECONDS", 60.0)
    station.toy.gathering = pairs = Pairs()
    async with station.running() as running:
        await running.ready()
        await station.say(paid("one"))
        await pairs.asked.wait()
        await station.say(paid("other"))
        await station.until_heard(2)
        await station.say(bought("alone"))
        await station.until_heard(3)
    assert await station.batches() == [["one", "other"], ["alone"]]
    assert pairs.closed == [2, 1]
    assert await station.left_in("toy.paid") == []


async def test_what_comes_while_something_else_is_waited_for_is_parked_where_it_cannot_be_read(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "GATHER_SECONDS", 60.0)
    station.toy.gathering = pairs = Pairs()
    async with station.running():
        await station.say(paid("one"))
        await pairs.asked.wait()
        await station.publish("paid", b"\xff")
        await station.say(paid("other"))
        await station.until_heard(2)
    assert [reason for reason, _ in await station.parked()] == ["not_json"]
    assert await station.left_in("toy.paid") == []


async def test_what_belongs_together_is_waited_for_a_moment_and_then_handled_without(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "GATHER_SECONDS", 0.5)  # which is not over before the first wait
    waited = watch_waits(monkeypatch)
    station.toy.gathering = pairs = Pairs()
    async with station.running():
        await station.say(paid("one"))
        await station.until_heard(1)
    assert waited
    assert max(waited) <= consumer.GATHER_SECONDS
    assert pairs.closed == [1]


async def test_what_has_to_be_alone_is_not_joined_by_what_belongs_to_it(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a channel that has had something harmless before: what comes next is there already.
    monkeypatch.setattr(queues, "FAILURES_BEFORE_ISOLATION", 100)
    await station.say(paid("one"))
    await lose_three_times(station, "toy.paid")
    await station.say(paid("other"))
    station.toy.gathering = Pairs()
    async with station.running():
        await station.until_heard(2)
    assert await station.batches() == [["one"], ["other"]]


async def test_what_does_not_fit_beside_what_was_taken_ends_the_wait(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "GATHER_SECONDS", 0.5)
    waited = watch_waits(monkeypatch)
    await station.say_together(paid("one"))
    await station.say_together(*(paid(str(number)) for number in range(4)))
    station.toy.gathering = Pairs()
    async with station.running(batch_documents=4):
        await station.until_heard(5)
    assert await station.batches() == [["one"], ["0", "1", "2", "3"]]
    assert len(waited) == 1


async def test_a_batch_of_many_documents_waits_for_no_more(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "GATHER_SECONDS", 60.0)
    station.toy.gathering = pairs = Pairs()
    await station.say_together(*(paid(str(number)) for number in range(consumer.GATHERED + 1)))
    async with station.running():
        await station.until_heard(consumer.GATHERED + 1)
    assert not pairs.asked.is_set()


async def test_a_daemon_that_stops_waits_for_nothing(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "GATHER_SECONDS", 60.0)
    station.toy.gathering = pairs = Pairs()
    async with station.running():
        await station.say(paid("one"))
        await pairs.asked.wait()
    assert await station.heard() == ["one"]
