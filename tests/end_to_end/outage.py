"""Five minutes without PostgreSQL, on servers of their own, while the other tests run."""

import asyncio
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.end_to_end.cell import Cell, Servers, cell
from tests.end_to_end.client import Document
from tests.end_to_end.market import Market
from tests.end_to_end.verdict import judge
from tests.servers.server import Server

OUTAGE_SECONDS = 300.0
PATIENCE_SECONDS = OUTAGE_SECONDS + 120.0


@dataclass
class Outage:
    """What there is to tell afterwards."""

    seconds: float
    placed_before: list[Document]
    placed_after: list[Document]
    held: dict[str, int]
    """daemon -> how often it logged that it holds a batch."""
    restarted: list[str]
    """Daemons that are not the same process any more."""


async def outage(servers: Servers, postgres: Server, folder: Path) -> Outage:
    """Have orders placed, take the database away for five minutes with orders under way, and judge what comes after."""
    await postgres.start()
    try:
        async with cell(servers._replace(postgres_url=postgres.url), folder) as made:
            told = await _through_an_outage(made, postgres)
            await judge(made)
            return told
    finally:
        await postgres.remove()


async def _through_an_outage(made: Cell, postgres: Server) -> Outage:
    market = await made.market(agents=200, milk=200)
    before = await asyncio.gather(*(made.client.place(market.order(milk=1)) for _ in range(20)))
    processes = {daemon: daemon.pid for daemon in made.daemons}
    under_way = [asyncio.create_task(made.client.place(market.order(milk=1), PATIENCE_SECONDS)) for _ in range(40)]
    await postgres.kill()
    began = time.monotonic()
    # Every daemon has something in hand that it cannot get rid of.
    made.markets.append(Market.of(1, {"milk": 1}))
    await asyncio.gather(*map(made.client.say, made.markets[-1].stocking()))
    during = [asyncio.create_task(made.client.place(market.order(milk=1), PATIENCE_SECONDS)) for _ in range(60)]
    await asyncio.sleep(OUTAGE_SECONDS)
    await postgres.start()
    seconds = time.monotonic() - began
    after = await asyncio.gather(*under_way, *during)
    return Outage(
        seconds,
        before,
        after,
        held={daemon.service: len(daemon.told("batch failed, retrying")) for daemon in made.daemons},
        restarted=[daemon.service for daemon, pid in processes.items() if not daemon.running or daemon.pid != pid],
    )


class Background:
    """Work on an event loop in a thread of its own, which no other test can hold up."""

    def __init__(self, work: Coroutine[Any, Any, Outage]) -> None:
        self._done: Future[Outage] = Future()
        self._thread = threading.Thread(target=self._run, args=[work], name="outage")
        self._thread.start()

    async def result(self) -> Outage:
        return await asyncio.shield(asyncio.wrap_future(self._done))

    def close(self) -> None:
        """Give up what is not done, and clean up."""
        if not self._done.done():
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()

    def _run(self, work: Coroutine[Any, Any, Outage]) -> None:
        try:
            self._done.set_result(asyncio.run(self._work(work)))
        except BaseException as error:  # noqa: BLE001  whoever asks for the result is told
            self._done.set_exception(error)

    async def _work(self, work: Coroutine[Any, Any, Outage]) -> Outage:
        task = asyncio.current_task()
        assert task is not None
        self._loop, self._task = asyncio.get_running_loop(), task
        return await work
