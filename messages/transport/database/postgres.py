"""The service's own database: a small pool, one transaction a batch."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, cast

import asyncpg
import structlog

from messages.transport.backoff import Backoff
from messages.transport.database.hosts import Hosts
from messages.transport.database.session import SETTINGS
from messages.transport.database.transactions import BEGIN, Transaction, commit, give_back, give_up, roll_back
from messages.transport.database.watchdog import ConnectionWatchdog
from messages.transport.faults import is_infrastructure, is_unreachable, one_line

log = structlog.get_logger(__name__)
# A caller that gets no connection logs that itself; the pool would add a stack trace several times a second.
logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)

CONNECT_SECONDS = 5.0
CLOSE_SECONDS = 1.0


class Database:
    """A pool that may be opened while the server is down, and outlives its restarts."""

    def __init__(self, url: str, *, size: int = 5, application_name: str = "order-saga") -> None:
        self._url = url
        self._hosts = Hosts(url)
        self._size = size
        self._application_name = application_name
        self._pool: asyncpg.Pool[Any] | None = None
        self._at_hand: list[Any] = []
        self._wanted = 0
        self.reachable = False
        self.connections_opened = 0
        """Since the start. After one more, the server may be another one, or have lost its last commits."""

    async def open(self) -> None:
        """Wait for the server, for ever, with backoff."""
        backoff = Backoff(base_seconds=0.1, cap_seconds=3.0)
        while self._pool is None:
            try:
                self._pool = await self._connect()
            except Exception as error:
                if not is_infrastructure(error):
                    raise
                log.warning("waiting for PostgreSQL", error=one_line(error))
                await asyncio.sleep(backoff.next_seconds())
        self.reachable = True

    async def close(self) -> None:
        """Close the pool; connections to a silent server are cut off after a second."""
        if self._pool is None:
            return
        try:
            await asyncio.wait_for(self._close(self._pool), timeout=CLOSE_SECONDS)
        except TimeoutError:
            self._pool.terminate()
        self._pool = None

    @contextlib.asynccontextmanager
    async def transaction(self, opening: str = "") -> AsyncIterator[Transaction]:
        """Begin together with the statement `opening`, in one round trip; commit at the end of the block."""
        async with self.session() as tx:
            try:
                await tx.execute(f"{BEGIN}{opening}")
                yield tx
            except BaseException:
                await roll_back(tx)
                raise
            await commit(tx)

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Transaction]:
        """A connection on which each statement is a transaction of its own."""
        pool = self._pool
        assert pool is not None, "the database is not open"
        try:
            connection = await self._take_at_hand(pool) or await self._acquire(pool)
            at_hand = self._at_hand
            watchdog = ConnectionWatchdog(self._hosts.connect, connection, partial(self._leave, pool, connection))
            try:
                yield cast("Transaction", connection)
            except BaseException as error:
                # A statement may still run: the pool cancels it or closes the connection. When cancelled, close at
                # once: a silent server would not answer that.
                if isinstance(error, asyncio.CancelledError):
                    give_up(connection)
                await give_back(pool, connection)
                if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                    await self._replace_connections(pool)
                raise
            finally:
                watchdog.end()
            await self._put_back(pool, connection, at_hand)
        except Exception as error:
            self.reachable = self.reachable and not is_unreachable(error)
            raise
        self.reachable = True

    async def _connect(self) -> "asyncpg.Pool[Any]":
        return await asyncpg.create_pool(
            self._url,
            min_size=1,
            max_size=self._size,
            timeout=CONNECT_SECONDS,
            connect=self._hosts.connect,
            init=self._opened,
            reset=_nothing_to_reset,
            max_inactive_connection_lifetime=0,
            server_settings={"application_name": self._application_name, **SETTINGS},
        )

    async def _opened(self, connection: "asyncpg.Connection[Any]") -> None:
        self.connections_opened += 1
        _notice_a_dead_peer(connection)

    async def _close(self, pool: "asyncpg.Pool[Any]") -> None:
        await self._release_at_hand(pool)
        await pool.close()

    async def _release_at_hand(self, pool: "asyncpg.Pool[Any]") -> None:
        while self._at_hand:
            await give_back(pool, self._at_hand.pop())

    # Acquiring and releasing costs as much as half a statement. So a connection stays at hand after use, unless a task
    # waits for one.

    async def _take_at_hand(self, pool: "asyncpg.Pool[Any]") -> Any:
        while self._at_hand:
            connection = self._at_hand.pop()
            if not _is_lost(connection):
                return connection
            await give_back(pool, connection)
        return None

    async def _acquire(self, pool: "asyncpg.Pool[Any]") -> Any:
        self._wanted += 1
        try:
            return await pool.acquire(timeout=CONNECT_SECONDS)
        except Exception:
            self.reachable = False  # whatever the reason that there is no connection
            raise
        finally:
            self._wanted -= 1

    async def _put_back(self, pool: "asyncpg.Pool[Any]", connection: Any, at_hand: list[Any]) -> None:
        if at_hand is not self._at_hand:  # all connections have been replaced since it was taken
            give_up(connection)
        elif self._wanted:
            await give_back(pool, connection)
        else:
            self._at_hand.append(connection)

    async def _replace_connections(self, pool: "asyncpg.Pool[Any]") -> None:
        """Replace every open connection: after a failover they may lead to a standby or a dead host."""
        await pool.expire_connections()
        at_hand, self._at_hand = self._at_hand, []
        for connection in at_hand:
            give_up(connection)

    async def _leave(self, pool: "asyncpg.Pool[Any]", silent: Any) -> None:
        """Replace all connections, and close the silent one; the batch waiting on it is retried."""
        log.warning("connection dropped", error="the server answers new connections, but not this one")
        await self._replace_connections(pool)
        give_up(silent)


async def _nothing_to_reset(_connection: object) -> None:
    """Session state is never changed, so the default reset would be a wasted round trip a batch."""


def _notice_a_dead_peer(connection: "asyncpg.Connection[Any]") -> None:
    """TCP keepalive: a host that vanished must not hold a COMMIT for a quarter of an hour."""
    transport = getattr(connection, "_transport", None)
    peer: socket.socket | None = transport.get_extra_info("socket") if transport else None
    if peer is None or peer.family not in (socket.AF_INET, socket.AF_INET6):
        return
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 20_000)):
        if hasattr(socket, option):
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _is_lost(connection: Any) -> bool:
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:  # the pool has taken it back
        return True
