"""Proves that a service can run on its database: migrated, durable, the only primary, and with the right time."""

import asyncio
from datetime import datetime
from urllib.parse import SplitResult, urlsplit

import asyncpg

from messages.transport.command_line.connecting import CONNECT_SECONDS
from messages.transport.command_line.failures import Unreachable, WrongUsage
from messages.transport.command_line.own_database import own_database
from messages.transport.database import session
from messages.transport.database.clock_offset import SKEW_SECONDS, clock_offset
from messages.transport.database.migrating import pending
from messages.transport.database.transactions import Transaction
from messages.transport.faults import DATABASE_FAILURES, UnfitDatabase, one_line
from messages.transport.service import Service
from messages.transport.settings import Settings

LOSES = {
    "fsync": "if its host crashes, the database may be damaged beyond repair",
    "full_page_writes": "if its host crashes, pages may be damaged, unless the file system writes them whole",
}

WAITS_FOR_NOBODY = """
    SELECT current_setting('synchronous_standby_names') <> '' AND NOT pg_is_in_recovery()
        AND current_setting('synchronous_commit') NOT IN ('off', 'local')
        AND NOT EXISTS (SELECT FROM pg_stat_replication WHERE coalesce(sync_state IN ('sync', 'quorum'), true))
"""
"""Whether commits wait for a standby while there is none. A role that may not see how a standby follows is told no."""
PRIMARY_STARTED_AT = "SELECT pg_postmaster_start_time() WHERE NOT pg_is_in_recovery()"


async def check_database(service: Service, settings: Settings) -> tuple[list[str], list[str]]:
    """(problems, warnings): one sentence for each thing that is wrong with the database or the way to it, or unwise."""
    warnings: list[str] = []
    try:
        async with own_database(settings, server_settings=session.SETTINGS) as connection:
            warnings = await _warnings(settings, connection)
            return await _problems(service, settings, connection), warnings
    except (WrongUsage, Unreachable) as error:
        return [error.message], warnings
    except UnfitDatabase as error:
        return [f"{settings.prefix()}DATABASE_URL: {one_line(error)}"], warnings


async def _warnings(settings: Settings, connection: Transaction) -> list[str]:
    """Of what is right only where nothing is worth keeping, or rarely; and of what ends once a server is back."""
    off = [name for name in LOSES if await connection.fetchval("SELECT current_setting($1)", name) == "off"]
    warnings = [f"{name} is off on the server: {LOSES[name]}; set it to on" for name in off]
    if await connection.fetchval(WAITS_FOR_NOBODY):
        warnings.append("synchronous_standby_names is set on the server, and no standby is synchronous: commits wait")
    return [f"{settings.prefix()}DATABASE_URL: {warning}" for warning in warnings]


async def _problems(service: Service, settings: Settings, connection: Transaction) -> list[str]:
    setting, url = f"{settings.prefix()}DATABASE_URL", settings.database_url.get_secret_value()
    await session.refuse_dropped_settings(connection)
    missing = await pending(connection, service.migrations)
    faults = [*await _write_faults(connection), *await _primary_faults(urlsplit(url))]
    return [
        *(f"migration {migration.name} is not applied: run migrate" for migration in missing),
        *(f"{setting}: {fault}" for fault in faults),
        *await _clock_problems(connection),
    ]


async def _write_faults(connection: Transaction) -> list[str]:
    faults = []
    if await connection.fetchval("SELECT pg_is_in_recovery()"):  # it answers queries, but refuses writes
        faults.append("leads to a read-only standby; it must lead to the primary")
    elif await connection.fetchval("SELECT current_setting('transaction_read_only')::boolean"):
        faults.append("the database is read-only (default_transaction_read_only)")
    # What customers are told must outlast a crash; a role or a database may have been set to something quicker.
    if await connection.fetchval("SHOW synchronous_commit") == "off":
        faults.append("synchronous_commit is off: a crash of the server loses commits")
    return faults


async def _primary_faults(url: SplitResult) -> list[str]:
    """Of several hosts only one may be a primary: daemons write to whichever they find first."""
    user, at, hosts = url.netloc.rpartition("@")
    if "," not in hosts:
        return []
    urls = {host: url._replace(netloc=f"{user}{at}{host}").geturl() for host in hosts.split(",")}
    started_at = await asyncio.gather(*map(_primary_started_at, urls.values()))
    # By when it started, to the microsecond, a server is known under each of its names.
    primaries = {at: host for at, host in zip(started_at, urls, strict=True) if at is not None}
    several = f"{' and '.join(primaries.values())} all accept writes: stop every one but the newest primary"
    return [several] if len(primaries) > 1 else []


async def _primary_started_at(url: str) -> datetime | None:
    """None for a standby; also if it does not answer, or if the URL wants another kind of server than this one is."""
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
        try:
            started_at: datetime | None = await connection.fetchval(PRIMARY_STARTED_AT)
            return started_at
        finally:
            await connection.close()
    except DATABASE_FAILURES:
        return None


async def _clock_problems(connection: Transaction) -> list[str]:
    """Every service compares its database with its own host; hosts that agree with theirs agree with each other."""
    ahead = (await clock_offset(connection.fetchval)).certain
    where = f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this host's"
    return [f"the database's clock is {where}: more than {SKEW_SECONDS} s"] if abs(ahead) > SKEW_SECONDS else []
