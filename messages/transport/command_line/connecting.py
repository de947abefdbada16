"""Connects a command to a database. What goes wrong is one line that names the setting, and says whose fault it is."""

from typing import Any

import asyncpg

from messages.transport.certificates import WrongCertificate, read_certificates
from messages.transport.command_line.failures import Unreachable, WrongUsage, one_line_with_place
from messages.transport.database.transactions import Transaction
from messages.transport.faults import DATABASE_FAILURES, why_refused

CONNECT_SECONDS = 10.0


async def connect(url: str, setting: str, **options: Any) -> Transaction:
    """Raises WrongUsage if the URL is refused before any server is asked, and Unreachable for what goes wrong then."""
    try:
        read_certificates(url)
        connection: Transaction = await asyncpg.connect(url, timeout=CONNECT_SECONDS, **options)
    except WrongCertificate as error:
        raise WrongUsage(f"{setting}: {error}") from None
    except OSError as error:  # before ValueError: a certificate that cannot be verified is both
        raise Unreachable(f"{setting}: {one_line_with_place(error, url)}") from None
    except ValueError as error:
        raise WrongUsage(f"{setting}: {why_refused(error)}") from None
    except DATABASE_FAILURES as error:
        raise Unreachable(f"{setting}: {one_line_with_place(error, url)}") from None
    return connection
