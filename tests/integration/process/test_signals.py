"""A daemon that is told to stop finishes, and one that is killed at any moment loses nothing."""

import asyncio
import contextlib
import json
import os
import random
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from messages.transport.rabbitmq.broker import RabbitBroker
from tests.integration.process.clients import Client
from tests.integration.process.daemons import QUICK_RELAY, daemon
from tests.integration.process.endpoints import measured
from tests.integration.toy.service import TELL_ELSEWHERE, bought, paid
from tests.integration.toy.station import Station
from tests.integration.toy.waiting import until
from tests.servers.server import free_port


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_daemon_that_is_told_to_stop_finishes_and_exits_with_zero(
    station: Station, client: Client, number: signal.Signals
) -> None:
    port = free_port()
    async with daemon(station, client, http_port=port) as process:
        await client.say(*(bought(str(each)) for each in range(100)))
        await client.until_heard({"0"})
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), 100) == 0
        log = await told(process)
    assert [line["event"] for line in log][-2:] == ["draining", "stopped"]
    assert {line["service"] for line in log} == {"toy"}
    assert await station.count("outbox") == 0
    handled = set(await station.heard())
    await client.until_heard(handled)
    assert client.texts == handled
    await client.until_left_in("toy.bought", 100 - len(handled))


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
async def test_a_daemon_whose_standard_streams_are_closed_works_and_stops_as_any_other(
    station: Station, client: Client, closed: str
) -> None:
    async with daemon(station, client, redirected=closed) as process:
        await client.say(bought("0"))
        await client.until_heard({"0"})
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 100) == 0


async def test_a_daemon_whose_log_nobody_reads_works_counts_what_is_lost_and_stops_as_any_other(
    station: Station, client: Client
) -> None:
    port = free_port()
    with _full_pipe() as log:
        async with daemon(station, client, stderr=log, http_port=port, log_level="debug") as process:
            await client.say(bought("0"))
            await client.until_heard({"0"})
            await until(lambda: _has_dropped(port))
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 100) == 0


async def test_a_daemon_killed_at_any_moment_loses_nothing(station: Station, client: Client) -> None:
    texts = {str(number) for number in range(300)}
    for number in range(3):
        before = await station.count("heard")
        some = (bought(text, TELL_ELSEWHERE) for text in sorted(texts)[number::3])
        saying = asyncio.create_task(client.say(*some))
        async with daemon(station, client, batch_documents=10, **QUICK_RELAY) as process:
            await station.until(lambda: _more_than(station, before))  # noqa: B023  awaited within the round
            await asyncio.sleep(random.uniform(0, 0.1))
            process.kill()
        await saying
    await client.say(paid("last"))
    async with station.running(RabbitBroker(client.url), **QUICK_RELAY):
        await client.until_heard(texts | {"last"})
        await station.until_count("outbox", 0)
    assert set(await station.heard()) == texts | {"last"}
    assert await station.parked() == []


async def told(process: asyncio.subprocess.Process) -> list[dict[str, Any]]:
    """Its log, once it has ended."""
    assert process.stderr is not None
    return [json.loads(line) for line in (await process.stderr.read()).splitlines()]


async def _more_than(station: Station, number: int) -> bool:
    return await station.count("heard") > number


async def _has_dropped(port: int) -> bool:
    dropped = re.search(r"^ordersaga_log_lines_dropped_total (.+)$", await measured(port), re.MULTILINE)
    return dropped is not None and float(dropped[1]) >= 1


@contextlib.contextmanager
def _full_pipe() -> Iterator[int]:
    """The end to write to; nobody reads from the other one, which stays open."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write, b"\n")
    os.set_blocking(write, True)
    yield write
    os.close(read)
    os.close(write)
