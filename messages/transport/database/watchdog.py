"""A watchdog for statements that take far too long: it tells a slow server from a dead connection."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from messages.transport.database.transactions import Transaction

SILENT_SECONDS = 10.0
"""Far longer than a statement takes."""
HUNG_SECONDS = 180.0
"""Three times the server's statement_timeout."""
ANSWER_SECONDS = 5.0
# If nobody works for this connection, it leads to another server than new ones do: to a primary that is none any more.
# If the server waits for this client as the client waits for it, what one of them said is lost, in a proxy in between:
# nothing here takes as long to send, and nothing is copied from the client.
# A commit waiting for a synchronous standby is already written; a retry would wait too, on one more connection.
IS_HUNG = """
    SELECT coalesce(bool_and(
        coalesce(wait_event = 'ClientRead' AND state_change < clock_timestamp() - make_interval(secs => $3), false)
        OR $2 AND wait_event IS DISTINCT FROM 'SyncRep'
    ), true)
    FROM pg_stat_activity WHERE pid = $1 AND datname = current_database()
"""


class ConnectionWatchdog:
    """Calls `give_up` if the server answers on a new connection while this one stays silent.

    TCP timeouts miss a dead peer whose packets are still acknowledged (by a proxy after a failover, say, or the kernel
    of a stopped process); server timeouts need a live server.
    """

    def __init__(
        self, connect: Callable[..., Awaitable[Any]], connection: Transaction, give_up: Callable[[], None]
    ) -> None:
        self._connect = connect
        self._connection = connection
        self._give_up = give_up
        self._asking: asyncio.Task[None] | None = None
        self._alarm = asyncio.get_running_loop().call_later(SILENT_SECONDS, self._begin)

    def end(self) -> None:
        self._alarm.cancel()
        if self._asking is not None:
            self._asking.cancel()

    def _begin(self) -> None:
        self._asking = asyncio.create_task(self._ask(), name="ask why a connection is silent")

    async def _ask(self) -> None:
        clock = asyncio.get_running_loop().time
        hung_at = clock() + HUNG_SECONDS - SILENT_SECONDS
        while not await self._is_hung(clock() >= hung_at):  # noqa: ASYNC110  there is no event for it
            await asyncio.sleep(ANSWER_SECONDS)
        self._give_up()

    async def _is_hung(self, overdue: bool) -> bool:
        """False also if the server does not answer on the new connection: then reconnecting would be of no use."""
        try:
            other = await self._connect(timeout=ANSWER_SECONDS)
            try:
                pid = self._connection.get_server_pid()
                return bool(await other.fetchval(IS_HUNG, pid, overdue, SILENT_SECONDS, timeout=ANSWER_SECONDS))
            finally:
                other.terminate()
        except Exception:  # noqa: BLE001  whatever it is, it is no answer
            return False
