"""The service's own database, as a command opens it: an error is one line that names the setting."""

import contextlib
from collections.abc import AsyncIterator

import asyncpg

from messages.transport.command_line.failures import Unreachable, WrongUsage, one_line_with_place
from messages.transport.database.transactions import Transaction
from messages.transport.faults import DATABASE_FAILURES, why_refused
from messages.transport.settings import Settings

CONNECT_SECONDS = 10.0


@contextlib.asynccontextmanager
async def own_database(settings: Settings) -> AsyncIterator[Transaction]:
    """Raises WrongUsage if the URL is refused before any server is asked, and Unreachable for what goes wrong then."""
    setting, url = f"{settings.prefix()}DATABASE_URL", settings.database_url.get_secret_value()
    try:
        connection = await _connect(url, setting)
        try:
            yield connection
        finally:
            await connection.close()
    except DATABASE_FAILURES as error:
        raise Unreachable(f"{setting}: {one_line_with_place(error, url)}") from None


async def _connect(url: str, setting: str) -> Transaction:
    try:
        connection: Transaction = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
    except OSError:  # before ValueError: a certificate that cannot be verified is both
        raise
    except ValueError as error:
        raise WrongUsage(f"{setting}: {why_refused(error)}") from None
    return connection
