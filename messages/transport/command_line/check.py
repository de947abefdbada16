"""`check`: proves that settings, database and broker fit together, before the service runs on them or while it does.

Only what the service would declare itself is created on the way (TOPOLOGY=declare): the broker proves equality no other
way.
"""

from messages.transport.command_line.broker_check import broker_problems
from messages.transport.command_line.database_check import database_problems
from messages.transport.service import Service
from messages.transport.settings import Settings


async def check(service: Service, settings: Settings) -> list[str]:
    """One sentence for each thing that is wrong, naming the setting where one is to blame; none: all was proven."""
    return [*await database_problems(service, settings), *await broker_problems(service, settings)]
