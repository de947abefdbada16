"""A PostgreSQL with a standby that every commit waits for, and the failover to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import asyncpg

from tests.servers.server import CALL_SECONDS, Primary, Server, postgres_executes, until

REPLICATED = "SELECT FROM pg_stat_replication WHERE sync_state = 'sync'"


@dataclass(frozen=True)
class Replicated:
    primary: Server
    standby: Server

    @property
    def url(self) -> str:
        """As the daemons get it: all hosts, and which of them is meant."""
        (user, primary), (_, standby) = (split_host(each.url) for each in (self.primary, self.standby))
        parts = urlsplit(self.primary.url)._replace(netloc=f"{user}@{primary},{standby}")
        return parts._replace(query="target_session_attrs=read-write").geturl()

    async def fail_over(self) -> None:
        """The primary is gone, and its standby takes its place."""
        await self.primary.kill()
        await postgres_executes(self.standby.url, "SELECT pg_promote()")


@asynccontextmanager
async def replicated(primary: Server) -> AsyncIterator[Replicated]:
    """Have a running server followed, synchronously."""
    standby = await cast("Primary", primary).standby()
    try:
        # Not before: it would have copied the setting, and would wait for a standby of its own.
        set_up = ("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
        await postgres_executes(primary.url, *set_up)
        await until(lambda: _is_replicated(primary.url))
        yield Replicated(primary, standby)
    finally:
        await standby.remove()


def split_host(url: str) -> tuple[str, str]:
    """User with password, and host with port."""
    user, _, host = urlsplit(url).netloc.rpartition("@")
    return user, host


async def _is_replicated(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=CALL_SECONDS)
    try:
        if not await connection.fetch(REPLICATED):
            raise ConnectionError("nobody follows synchronously")
    finally:
        await connection.close()
