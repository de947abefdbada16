"""How far a database server's clock is from this host's."""

from collections.abc import Awaitable, Callable
from time import time
from typing import Any, NamedTuple

CLOCK = "extract(epoch FROM clock_timestamp())::double precision"
"""The server's clock, in SQL: seconds since 1970."""
SKEW_SECONDS = 1.0
"""By how much clocks may differ: a deadline that one server sets is judged by another."""


class ClockOffset(NamedTuple):
    """How far a server's clock is ahead of this host's, in seconds, at least and at most: asking takes time."""

    least: float
    most: float

    @classmethod
    def of(cls, asked_at: float, there: float, answered_at: float) -> "ClockOffset":
        """Of a clock that was read at some time between the two."""
        return cls(there - answered_at, there - asked_at)

    @property
    def certain(self) -> float:
        """How far it is certainly ahead, or behind (negative)."""
        return max(self.least, 0.0) + min(self.most, 0.0)

    def ahead_of(self, other: "ClockOffset") -> float:
        """How far it is certainly ahead of another clock; 0 or less if perhaps not at all."""
        return self.least - other.most


async def clock_offset(ask: Callable[[str], Awaitable[Any]]) -> ClockOffset:
    """`ask` returns the one value that a query has."""
    asked_at = time()
    there = await ask(f"SELECT {CLOCK}")
    return ClockOffset.of(asked_at, there, time())
