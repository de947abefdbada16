"""Whether the services' databases agree on the time: a deadline that one of them sets is judged by another."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import NamedTuple

from messages.transport.command_line.check import SKEW_SECONDS
from messages.transport.command_line.failures import Unreachable
from messages.transport.command_line.reading import reading
from order_saga.inspection.databases import ORCHESTRATOR, known_urls, setting_of


class Offset(NamedTuple):
    """How far a database is ahead of this host, at least and at most, as the query takes time."""

    least: timedelta
    most: timedelta


async def clock_problems() -> list[str]:
    """One sentence for each pair of databases whose clocks differ, and one for each database that cannot be reached.

    Of those that the environment names. That the orchestrator's own is not reached, the check of its service tells.
    """
    offsets: dict[str, Offset] = {}
    problems = []
    for service, url in known_urls().items():
        try:
            offsets[service] = await _offset(url, setting_of(service))
        except Unreachable as error:
            problems += [error.message] if service != ORCHESTRATOR else []
    return problems + disagreements(offsets)


def disagreements(offsets: Mapping[str, Offset]) -> list[str]:
    """Pairs whose clocks certainly differ by more than a second."""
    found = []
    for one, other in combinations(offsets, 2):
        skew = max(offsets[one].least - offsets[other].most, offsets[other].least - offsets[one].most)
        if skew.total_seconds() > SKEW_SECONDS:
            found.append(
                f"the clocks of {one}'s and {other}'s databases are {skew.total_seconds():.1f} s apart:"
                f" more than {SKEW_SECONDS} s"
            )
    return found


async def _offset(url: str, setting: str) -> Offset:
    async with reading(url, setting) as database:
        before = datetime.now(UTC)
        there: datetime = await database.value("SELECT clock_timestamp()")
        after = datetime.now(UTC)
    return Offset(there - after, there - before)
