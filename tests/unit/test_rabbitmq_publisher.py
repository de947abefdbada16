"""A connection is replaced once no channel could be opened on it for three timeouts, and not before."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast
from unittest.mock import AsyncMock, Mock

import pytest

from messages.transport.addresses import COMMANDS, Address
from messages.transport.broker import ONE_DOCUMENT, Envelope
from messages.transport.rabbitmq.publisher import RabbitPublisher

ENVELOPE = Envelope(Address(COMMANDS, "work"), b"{}", ONE_DOCUMENT, "id")
SILENT, REFUSED, OPENED = "silent", "refused", "opened, and lost at once"


class Loop(asyncio.SelectorEventLoop):
    """Its clock shows what a test wants."""

    now = 0.0

    def time(self) -> float:
        return self.now


async def replaced(loop: Loop, answers: Sequence[str]) -> list[int]:
    """After which tries to publish, if the broker so answers each, the connection is replaced; the first is 1."""
    tries = iter(answers)

    async def open_channel() -> Any:
        match next(tries):
            case "silent":
                loop.now += 1.2
                await asyncio.Event().wait()
            case "refused":
                raise ConnectionError("refused")
        return Mock(open=False, underlay=Mock(close=AsyncMock()))

    link, found = Mock(usable=True), list[int]()
    publisher = RabbitPublisher(link, open_channel, timeout_seconds=1.0)
    for number in range(1, len(answers) + 1):
        assert await publisher.publish([ENVELOPE]) == [False]
        if link.reopen.call_count > len(found):
            found.append(number)
    await publisher.close()
    return found


@pytest.mark.parametrize(
    ("answers", "after"),
    [
        ([SILENT] * 9, [4, 8]),
        ([SILENT, SILENT, REFUSED, *[SILENT] * 4], [7]),
        ([SILENT, SILENT, OPENED, *[SILENT] * 4], [7]),
    ],
)
def test_a_connection_is_replaced_after_three_silent_timeouts(answers: Sequence[str], after: list[int]) -> None:
    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(replaced(cast("Loop", runner.get_loop()), answers)) == after


async def test_a_publisher_that_is_closed_waits_for_no_channel_that_it_has_dropped() -> None:
    closing, given_up = asyncio.Event(), asyncio.Event()

    async def close() -> None:
        closing.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    opened = AsyncMock(return_value=Mock(open=False, underlay=Mock(close=close)))
    publisher = RabbitPublisher(Mock(usable=True), opened, timeout_seconds=60.0)
    for _ in range(2):
        await publisher.publish([ENVELOPE])
    await closing.wait()
    await publisher.close()
    assert given_up.is_set()
