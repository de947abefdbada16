"""The service's own database, as a command opens it: an error is one line that names the setting."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from messages.transport.command_line.connecting import connect_to_database, errors_naming
from messages.transport.database.transactions import Transaction, end
from messages.transport.settings import Settings


@contextlib.asynccontextmanager
async def own_database(settings: Settings, **options: Any) -> AsyncIterator[Transaction]:
    """Raises WrongUsage if the URL is refused before any server is asked, and Unreachable for what goes wrong then."""
    setting, url = f"{settings.prefix()}DATABASE_URL", settings.database_url.get_secret_value()
    connection = await connect_to_database(url, setting, **options)
    with errors_naming(url, setting):
        try:
            yield connection
        finally:
            await end(connection)
