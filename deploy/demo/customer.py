"""Plays a script: sends its lines, a few at a time, receives their outcomes, and makes the store worker stall."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

from deploy.demo import queries
from deploy.demo.conversation import Answer, Conversation
from deploy.demo.looking import look_until
from deploy.demo.script import Deed, Line, Step
from deploy.demo.system import LEASE_SECONDS, System

AT_A_TIME = 8
PAUSE_SECONDS = 0.01
"""Between two orders: a stream that can be followed on a screen."""
PATIENCE_SECONDS = 30.0


class Customer:
    """Sends lines and receives answers; `report` is called with each answer, `remark` with what happens besides."""

    def __init__(self, system: System, report: Callable[[Answer], None], remark: Callable[[str], None]) -> None:
        self.conversation = Conversation()
        self._system = system
        self._report = report
        self._remark = remark

    async def play(self, steps: Sequence[Step]) -> None:
        """Return when every line is answered, or given up."""
        for step in steps:
            match step:
                case Line():
                    await self._send(step)
                case Deed.WAIT:
                    await self._receive_until(lambda: not self.conversation.open)
                case Deed.STALL:
                    await self._stall()
                case Deed.RESUME:
                    await self._resume()
        await self._receive_until(lambda: not self.conversation.open)

    async def _send(self, line: Line) -> None:
        await self._receive_until(lambda: self.conversation.open < AT_A_TIME)
        self.conversation.say(line, time.monotonic())
        await self._system.broker.publish([line.envelope])
        until = time.monotonic() + PAUSE_SECONDS
        await self._receive_until(lambda: time.monotonic() >= until, PAUSE_SECONDS)

    async def _receive_until(self, enough: Callable[[], bool], look_seconds: float = 1.0) -> None:
        news = self._system.listener.news
        while True:
            news.clear()
            await self._receive()
            if enough():
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), look_seconds)

    async def _receive(self) -> None:
        outcomes = await self._system.listener.take()
        now = time.monotonic()
        for outcome in outcomes:
            for answer in self.conversation.hear(outcome.message, now):
                self._report(answer)
        for answer in self.conversation.give_up(now, PATIENCE_SECONDS):
            self._report(answer)

    async def _stall(self) -> None:
        await self._system.store.stall()
        self._remark(f"The store worker stalls: it reserves, but assigns nothing. Its leases last {LEASE_SECONDS} s.")

    async def _resume(self) -> None:
        """Let the store worker come back when its leases have run out, long after its customers got their outcomes."""
        await self._receive_until(lambda: not self.conversation.open)
        await look_until(self._store_url, queries.holdings, lambda held: not held.get("reserved"))
        await self._system.store.let_go()
        self._remark("The leases have run out, the packets are back on the shelf, and the store worker works again.")

    @property
    def _store_url(self) -> str:
        return self._system.urls["store_worker"]
