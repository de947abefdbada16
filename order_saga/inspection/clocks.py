"""Whether the services' databases agree on the time: a deadline that one of them sets is judged by another."""

from collections.abc import Mapping
from itertools import combinations

from messages.transport.command_line.failures import Unreachable
from messages.transport.command_line.reading import reading
from messages.transport.database.clock_offset import SKEW_SECONDS, ClockOffset, clock_offset
from order_saga.inspection.databases import ORCHESTRATOR, known_urls, setting_of


async def clock_problems() -> list[str]:
    """One sentence for each pair of databases whose clocks differ, and one for each database that cannot be reached.

    Of those that the environment names. That the orchestrator's own is not reached, the check of its service tells.
    """
    offsets: dict[str, ClockOffset] = {}
    problems = []
    for service, url in known_urls().items():
        try:
            async with reading(url, setting_of(service)) as database:
                offsets[service] = await clock_offset(database.value)
        except Unreachable as error:
            problems += [error.message] if service != ORCHESTRATOR else []
    return problems + disagreements(offsets)


def disagreements(offsets: Mapping[str, ClockOffset]) -> list[str]:
    """Pairs whose clocks certainly differ by more than a second."""
    apart = {(one, other): offsets[one].apart_from(offsets[other]) for one, other in combinations(offsets, 2)}
    return [
        f"the clocks of {one}'s and {other}'s databases are {seconds:.1f} s apart: more than {SKEW_SECONDS} s"
        for (one, other), seconds in apart.items()
        if seconds > SKEW_SECONDS
    ]
