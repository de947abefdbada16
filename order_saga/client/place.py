"""Publishes requests, so many at a time, until each has an outcome, and passes the outcomes on."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from messages.transport.broker import Broker
from messages.transport.edge.outcomes import Listener
from order_saga.client.awaiting import Awaiting, Result
from order_saga.client.request_lines import Source


@dataclass(frozen=True, slots=True)
class Limits:
    """How many requests may be open, and in what time each must have an outcome."""

    window: int = 500
    timeout_seconds: float = 60.0


async def place(
    broker: Broker, listener: Listener, source: Source, limits: Limits, tell: Callable[[Result], None]
) -> None:
    """Return when every request has an outcome, or is given up. `tell` is called for each.

    On cancellation open requests are reported as unanswered, so that their order ids are known.
    """
    awaiting = Awaiting(limits.timeout_seconds)
    source.start(listener.news)
    try:
        while awaiting or not source.exhausted:
            listener.news.clear()
            await _publish(broker, source, awaiting, limits)
            await _await_news(listener.news, awaiting.next_at())
            await _receive(listener, awaiting, tell)
    except asyncio.CancelledError:
        for result in awaiting.unanswered(time.monotonic()):
            tell(result)
        raise


async def _publish(broker: Broker, source: Source, awaiting: Awaiting, limits: Limits) -> None:
    now = time.monotonic()
    for asked in source.take(limits.window - len(awaiting)):
        awaiting.add(asked, now)
    if requests := awaiting.due_requests(now):
        # Unconfirmed requests need no care: every request is repeated until it has an outcome.
        await broker.publish([request.envelope for request in requests])


async def _await_news(news: asyncio.Event, until: float | None) -> None:
    """Wait for an arrival or a line, or until a request is due."""
    timeout = None if until is None else max(0.0, until - time.monotonic())
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout):  # wait_for swallows a cancellation that comes with the event
            await news.wait()


async def _receive(listener: Listener, awaiting: Awaiting, tell: Callable[[Result], None]) -> None:
    outcomes = await listener.take()
    now = time.monotonic()
    for outcome in outcomes:
        for result in awaiting.receive(outcome, now):
            tell(result)
    for result in awaiting.give_up(now):
        tell(result)
