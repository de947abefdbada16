"""A queue of somebody else's that takes no outcome holds up nobody, and in the end the outcome is given up."""

import asyncio
from collections.abc import Sequence
from uuid import uuid4

import pytest

from messages.transport import outbox, publisher
from messages.transport.broker import Envelope
from messages.transport.handled import Outgoing
from messages.transport.in_process.broker import InProcessBroker
from messages.transport.publisher import OutboxPublisher
from messages.transport.topology import Topology
from tests.integration.publisher.moody import Moody
from tests.integration.toy.service import COUNTED, TELL_ELSEWHERE, Counted, bought
from tests.integration.toy.station import Station
from tests.integration.toy.waiting import true, until


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
        await until(lambda: true(len(moody.calls) > 4))
        moody.down = False
        await station.until_told(1)


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
    await asyncio.wait_for(broker.halted.wait(), 60)
    assert saying.take_confirmed() == []
    broker.go_on.set()
    await saying.drain()
    assert saying.take_confirmed() == [row.id]
    assert station.texts() == ["one", "other"]
    await broker.close()
