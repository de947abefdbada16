"""The service's own database: a few connections that are kept, one transaction a batch."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import asyncpg
import structlog

from messages.transport.backoff import Backoff
from messages.transport.database.hosts import Hosts
from messages.transport.database.session import SETTINGS
from messages.transport.database.transactions import BEGIN, Transaction, commit, end, roll_back
from messages.transport.database.watchdog import ConnectionWatchdog
from messages.transport.faults import is_infrastructure, is_unreachable, one_line

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 5.0


class Database:
    """May be opened while the server is down, and outlives its restarts. At most `size` connections are in use.

    After use a connection stays at hand. asyncpg's pool would cost half a statement for each use.
    """

    def __init__(self, url: str, *, size: int = 5, application_name: str = "order-saga") -> None:
        self._hosts = Hosts(url)
        self._application_name = application_name
        self._places = asyncio.Semaphore(size)
        self._at_hand: list[Transaction] = []
        self._in_use: set[Transaction] = set()
        self._is_open = False
        self.reachable = False
        self.connections_opened = 0
        """Since the start. After one more, the server may be another one, or have lost its last commits."""

    async def open(self) -> None:
        """Wait for the server, for ever, with backoff."""
        backoff = Backoff(base_seconds=0.1, cap_seconds=3.0)
        while not self._at_hand:
            try:
                self._at_hand.append(await self._connect())
            except Exception as error:
                if not is_infrastructure(error):
                    raise
                log.warning("waiting for PostgreSQL", error=one_line(error))
                await asyncio.sleep(backoff.next_seconds())
        self._is_open = self.reachable = True

    async def close(self) -> None:
        """Close what is at hand, or cut it off after a second if the server is silent; cut off what is in use."""
        self._is_open = False
        for connection in self._in_use:
            connection.terminate()
        at_hand, self._at_hand = self._at_hand, []
        await asyncio.gather(*map(end, at_hand))

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
        assert self._is_open, "the database is not open"
        connection = await self._take()
        at_hand = self._at_hand
        watchdog = ConnectionWatchdog(self._hosts.connect, connection, partial(self._leave, connection))
        try:
            yield connection
        except BaseException as error:
            await self._note_failure(error, connection)
            raise
        else:
            self.reachable = True
        finally:
            watchdog.end()
            self._put_back(connection, at_hand)

    async def _take(self) -> Transaction:
        """One that is at hand, or a new one. Waits while as many as may be are in use."""
        try:
            await self._take_place()
            try:
                connection = self._taken_at_hand() or await self._connect()
            except BaseException:
                self._places.release()
                raise
        except Exception:
            self.reachable = False  # whatever the reason that there is no connection
            raise
        self._in_use.add(connection)
        return connection

    async def _take_place(self) -> None:
        if not self._places.locked():
            await self._places.acquire()
            return
        async with asyncio.timeout(CONNECT_SECONDS):
            await self._places.acquire()

    def _taken_at_hand(self) -> "Transaction | None":
        while self._at_hand:
            connection = self._at_hand.pop()
            if not connection.is_closed():
                return connection
        return None

    async def _connect(self) -> Transaction:
        connection: Transaction = await self._hosts.connect(
            timeout=CONNECT_SECONDS,
            connection_class=_Connection,
            server_settings={"application_name": self._application_name, **SETTINGS},
        )
        self.connections_opened += 1
        _notice_a_dead_peer(connection)
        return connection

    async def _note_failure(self, error: BaseException, connection: Transaction) -> None:
        self.reachable = self.reachable and not is_unreachable(error)
        if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
            self._replace_connections()
        elif isinstance(error, TimeoutError):
            await end(connection)  # cut off, its statement would run on for as long as the server lets it
        elif isinstance(error, asyncio.CancelledError):
            connection.terminate()  # a statement may still run, and a silent server would never end it

    def _put_back(self, connection: Transaction, at_hand: list[Transaction]) -> None:
        self._in_use.discard(connection)
        self._places.release()
        if self._is_open and at_hand is self._at_hand:
            at_hand.append(connection)
        else:  # it was opened while the others were closed, or all have been replaced since it was taken
            connection.terminate()

    def _replace_connections(self) -> None:
        """Replace every open connection: after a failover they may lead to a standby or a dead host."""
        at_hand, self._at_hand = self._at_hand, []
        for connection in at_hand:
            connection.terminate()

    def _leave(self, silent: Transaction) -> None:
        """Replace all connections, and close the silent one; the batch waiting on it is retried."""
        log.warning("connection dropped", error="the server answers new connections, but not this one")
        self._replace_connections()
        silent.terminate()


class _Connection(asyncpg.Connection):
    _protocol: Any

    def _abort(self) -> None:
        """Keeps the protocol, which asyncpg's forgets: whoever has an answer in this very moment asks it next."""
        self._aborted = True
        self._protocol.abort()


def _notice_a_dead_peer(connection: Transaction) -> None:
    """TCP keepalive: a host that vanished must not hold a COMMIT for a quarter of an hour."""
    transport = getattr(connection, "_transport", None)
    peer: socket.socket | None = transport.get_extra_info("socket") if transport else None
    if peer is None or peer.family not in (socket.AF_INET, socket.AF_INET6):
        return
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 20_000)):
        if hasattr(socket, option):
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
