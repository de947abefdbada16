"""What a standby has not applied yet is not taken for lost."""

from urllib.parse import urlsplit

import pytest

from messages.transport.command_line.failures import Unreachable
from tests.integration.audit.worlds import audit
from tests.integration.small_system import Urls, databases
from tests.servers.replicated import Replicated
from tests.servers.server import postgres_executes, until

HAS_THE_VIEWS = "SELECT FROM published.stock, published.migrations"
HAS_APPLIED_ALL = "SELECT 1 / (pg_last_wal_replay_lsn() = pg_last_wal_receive_lsn())::integer"


async def test_a_standby_that_is_behind_is_refused_and_nobody_is_accused(own_replicated: Replicated) -> None:
    async with databases(own_replicated.primary.url) as urls:
        replica = urlsplit(own_replicated.standby.url)._replace(path=urlsplit(urls["store_worker"]).path).geturl()
        await until(lambda: postgres_executes(replica, HAS_THE_VIEWS, HAS_APPLIED_ALL))
        of_replica = dict(urls) | {"store_worker": replica}
        await until(lambda: nobody_is_accused(of_replica))

        await postgres_executes(replica, "SELECT pg_wal_replay_pause()")
        await postgres_executes(urls["store_worker"], "INSERT INTO received VALUES ('north', 'milk', 0)")
        with pytest.raises(Unreachable, match=r"^STORE_WORKER_DATABASE_URL: this standby may be more than 0 s behind"):
            await audit(of_replica, 3_600.0, at_rest=True)
        with pytest.raises(Unreachable, match=r"^STORE_WORKER_DATABASE_URL: this standby may be more than 0.01 s"):
            await audit(of_replica, 0.01)
        assert await audit(of_replica, 3_600.0) == []

        await postgres_executes(replica, "SELECT pg_wal_replay_resume()")


async def nobody_is_accused(urls: Urls) -> None:
    """Raises ConnectionError while the standby is behind, as it is for a moment whenever the primary does something."""
    try:
        assert await audit(urls, at_rest=True) == []
    except Unreachable as behind:
        raise ConnectionError(behind.message) from behind
