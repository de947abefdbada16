"""Merges what the databases say about each order: several streams in the order of order ids become one."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Generic, TypeVar
from uuid import UUID

from messages.contracts.views import Order
from order_saga.inspection.evidence import Account, Share
from order_saga.participants import Participant

T = TypeVar("T")


async def accounts(
    orders: AsyncIterator[tuple[UUID, Order]], shares: Mapping[Participant, AsyncIterator[tuple[UUID, Share]]]
) -> AsyncIterator[Account]:
    """Yield an account of every order in any of the databases, one at a time, whatever their number."""
    own, theirs = Stream(orders), {participant: Stream(rows) for participant, rows in shares.items()}
    streams: list[Stream[Any]] = [own, *theirs.values()]
    for stream in streams:
        await stream.advance()
    while next_ids := [stream.next_id for stream in streams if stream.next_id is not None]:
        order_id = min(next_ids)
        order = await own.take(order_id)
        yield Account(
            order_id, order, {each.name: await rows.take(order_id) or Share(each) for each, rows in theirs.items()}
        )


class Stream(Generic[T]):
    """Rows of one database, in the order of order ids, of which the next one is known."""

    def __init__(self, rows: AsyncIterator[tuple[UUID, T]]) -> None:
        self._rows = rows
        self._next: T | None = None
        self.next_id: UUID | None = None

    async def take(self, order_id: UUID) -> T | None:
        """The row of this order, if it is the next one."""
        if self.next_id != order_id:
            return None
        row = self._next
        await self.advance()
        return row

    async def advance(self) -> None:
        # Not anext(rows, (None, None)): Python 3.11 fails on a default that is a tuple.
        try:
            self.next_id, self._next = await anext(self._rows)
        except StopAsyncIteration:
            self.next_id, self._next = None, None
