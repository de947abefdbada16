"""Isolates the rows that a job cannot handle, so that they do not block the others."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias
from uuid import UUID

from asyncpg import Record

from messages.transport.database.transactions import Transaction, savepoint
from messages.transport.faults import is_infrastructure
from messages.transport.handled import Alarm, Handled

Work: TypeAlias = Callable[[Sequence[Record]], Awaitable[Handled]]
PutOff: TypeAlias = Callable[[UUID], Awaitable[None]]


async def isolate(tx: Transaction, rows: Sequence[Record], work: Work, put_off: PutOff, alarm: str) -> Handled:
    """Handle all rows at once; if that fails, bisect until the bad row is alone, postpone it and raise an alarm.

    Every row has an `order_id` and a `traceparent`. The result says `more` if any of them was handled or postponed.
    Raises what a retry can heal.
    """
    try:
        async with savepoint(tx):
            handled = await work(rows)
    except Exception as error:
        if is_infrastructure(error):
            raise
        if len(rows) == 1:
            return await _give_up(tx, rows[0], error, put_off, alarm)
        middle = len(rows) // 2
        handled = await isolate(tx, rows[:middle], work, put_off, alarm)
        handled.add(await isolate(tx, rows[middle:], work, put_off, alarm))
        return handled
    handled.more = True
    return handled


async def _give_up(tx: Transaction, culprit: Record, error: Exception, put_off: PutOff, alarm: str) -> Handled:
    detail, order_id = f"{type(error).__name__}: {error}", culprit["order_id"]
    is_put_off = True
    try:
        async with savepoint(tx):
            await put_off(order_id)
    except Exception as further:
        if is_infrastructure(further):
            raise
        is_put_off = False
        detail += f"; and it could not be rescheduled: {further}"
    return Handled(alarms=[Alarm(alarm, order_id, detail, traceparent=culprit["traceparent"])], more=is_put_off)
