"""Whether the services' databases agree on the time: a deadline that one of them sets is judged by another."""

from collections.abc import Mapping
from itertools import permutations

from messages.transport.command_line.failures import Unreachable, WrongUsage
from messages.transport.command_line.reading import reading
from messages.transport.database.clock_offset import SKEW_SECONDS, ClockOffset, clock_offset
from order_saga.inspection.databases import ORCHESTRATOR, known_urls, setting_of

OWN_SETTING = f"{ORCHESTRATOR.upper()}_DATABASE_URL"
"""What is wrong with it, the check of the service itself tells."""


async def clock_problems() -> list[str]:
    """One sentence for each pair of databases whose clocks differ, and one for each database that cannot be read.

    Of those that the environment names.
    """
    offsets: dict[str, ClockOffset] = {}
    problems = []
    for service, url in known_urls().items():
        try:
            async with reading(url, setting_of(service)) as database:
                offsets[service] = await clock_offset(database.value)
        except (WrongUsage, Unreachable) as error:
            problems += [error.message] if setting_of(service) != OWN_SETTING else []
    return problems + disagreements(offsets)


def disagreements(offsets: Mapping[str, ClockOffset]) -> list[str]:
    """Pairs whose clocks certainly differ by more than a second."""
    ahead = {(one, other): offsets[one].ahead_of(offsets[other]) for one, other in permutations(offsets, 2)}
    return [
        f"the clock of {one}'s database is {seconds:.1f} s ahead of {other}'s: more than {SKEW_SECONDS} s"
        for (one, other), seconds in ahead.items()
        if seconds > SKEW_SECONDS
    ]
