"""Watches over a statement that takes far too long: whether the server is only slow, or silent on that connection."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

HUNG_SECONDS = 180.0
"""Three times as long as a statement may take by its server's clock."""
ANSWER_SECONDS = 5.0
# A commit that waits for a standby is written already. Whoever came in its place would wait as well, and with each
# try there would be a connection more.
IS_HUNG = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'SyncRep')"


class Vigil:
    """Calls `give_up` if the server, asked on a connection of its own, answers there while this one stays silent.

    A network that acknowledges for a peer which is gone is noticed by no timeout of TCP's, and one of the server's
    needs a server: a proxy after a failover, say, or a process that was stopped.
    """

    def __init__(self, url: str, connection: Any, give_up: Callable[[], Awaitable[None]]) -> None:
        self._url = url
        self._connection = connection
        self._give_up = give_up
        self._asking: asyncio.Task[None] | None = None
        self._alarm = asyncio.get_running_loop().call_later(HUNG_SECONDS, self._begin)

    def end(self) -> None:
        """It has been answered."""
        self._alarm.cancel()
        if self._asking is not None:
            self._asking.cancel()

    def _begin(self) -> None:
        self._asking = asyncio.create_task(self._ask(), name="ask why a connection is silent")

    async def _ask(self) -> None:
        while not await self._is_hung():  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(HUNG_SECONDS)
        await self._give_up()

    async def _is_hung(self) -> bool:
        """False also where the server answers nobody: then another connection would be of no use."""
        try:
            other = await asyncpg.connect(self._url, timeout=ANSWER_SECONDS)
            try:
                return bool(await other.fetchval(IS_HUNG, self._connection.get_server_pid(), timeout=ANSWER_SECONDS))
            finally:
                other.terminate()
        except Exception:  # noqa: BLE001  whatever it is, it is no answer
            return False
