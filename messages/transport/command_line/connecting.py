"""Connects a command to a server. What goes wrong is one line that names the setting, and says whose fault it is."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
from yarl import URL

from messages.transport.certificates import WrongCertificate, read_certificates
from messages.transport.command_line.failures import Unreachable, WrongUsage, one_line_with_place
from messages.transport.database.transactions import Transaction
from messages.transport.faults import DATABASE_FAILURES, NOT_MIGRATED, one_line, why_refused
from messages.transport.rabbitmq.connection import BROKER_FAILURES
from messages.transport.rabbitmq.diagnosis import why_not_connected
from messages.transport.rabbitmq.fast_connection import FastConnection

CONNECT_SECONDS = 10.0
PACKAGES = "SELECT DISTINCT split_part(name, '/', 1) AS package FROM published.migrations"
SHARED_PACKAGES = "messages."
"""Whose migrations every service's database has."""


async def connect_to_database(url: str, setting: str, **options: Any) -> Transaction:
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


@contextmanager
def errors_naming(url: str, setting: str) -> Iterator[None]:
    """Raises Unreachable, which begins with the setting, for what goes wrong with a database once connected."""
    try:
        yield
    except NOT_MIGRATED as error:
        raise Unreachable(f"{setting}: {one_line(error)}: that database is not migrated") from None
    except (asyncpg.DataError, OverflowError) as error:  # a view cannot convert it, or Python has no such time
        raise Unreachable(f"{setting}: {one_line(error)}: a row was changed by hand, or a bug of ours") from None
    except DATABASE_FAILURES as error:
        raise Unreachable(f"{setting}: {one_line_with_place(error, url)}") from None


async def refuse_a_foreign_one(connection: Transaction, setting: str) -> None:
    """Raises WrongUsage if the database is not of the service whose setting led there: tables and views look alike."""
    for row in await connection.fetch(PACKAGES):
        service = row["package"].rpartition(".")[2]
        if not row["package"].startswith(SHARED_PACKAGES) and not setting.startswith(f"{service.upper()}_"):
            raise WrongUsage(f"{setting}: this is {service}'s database")


@asynccontextmanager
async def connected_to_broker(url: str, setting: str) -> AsyncIterator[FastConnection]:
    """Raises the same, after one attempt: the connections of a `Broker` retry for ever."""
    async with FastConnection(URL(url)) as connection:
        try:
            await connection.connect(timeout=CONNECT_SECONDS)
        except BROKER_FAILURES as error:
            raise Unreachable(f"{setting}: {why_not_connected(error, url)}") from None
        except ValueError:  # a parameter that is not what its name says
            raise WrongUsage(f"{setting}: not an AMQP URL") from None
        yield connection
