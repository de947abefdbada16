"""One RabbitMQ connection that is opened, watched and opened again for as long as it is wanted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import structlog
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from aiormq.abc import AbstractChannel
from yarl import URL

from messages.transport.backoff import Backoff
from messages.transport.cancelling import cancel
from messages.transport.rabbitmq.fast_connection import CLOSE_SECONDS, CONNECT_SECONDS, FastConnection
from messages.transport.rabbitmq.frames import (
    BLOCKED_ID,
    CONNECTION_CHANNEL,
    ID_BYTES,
    METHOD,
    UNBLOCKED_ID,
    short_string,
)

log = structlog.get_logger(__name__)

CALL_SECONDS = 10.0
HEARTBEAT_SECONDS = 5
"""aiormq gives a silent connection up after 18 s. The least that RabbitMQ recommends."""

BROKER_FAILURES = (*CONNECTION_EXCEPTIONS, TimeoutError)
"""What a call to a broker that is going away can raise."""


class SupervisedConnection:
    """A connection that is reopened whenever it is lost. Of its URL, only host, port and vhost are ever logged."""

    def __init__(self, url: str, name: str) -> None:
        self._url = URL(url).update_query(heartbeat=HEARTBEAT_SECONDS, name=name)
        self.name = name
        self._connection: FastConnection | None = None
        self._changed = asyncio.Event()
        self._about = {"link": name, "server": f"{self._url.host}:{self._url.port or ''}{self._url.path}"}
        self._blocked = False
        self._closed = False
        self._keeper: asyncio.Task[None] | None = None

    @property
    def usable(self) -> bool:
        """Open, and not blocked by an alarm of the broker, low on memory or disk."""
        return self._connection is not None and not self._blocked

    def start(self) -> None:
        """Open it, and keep it open; nothing if that has begun, or is over."""
        if self._keeper is None and not self._closed:
            self._keeper = asyncio.create_task(self._keep_open(), name=f"keep {self.name} open")

    async def connection(self) -> FastConnection:
        """The open connection, as soon as there is a usable one. Raises ConnectionError once there will be none.

        Of a blocked one RabbitMQ reads nothing: each channel that is opened there in vain would be kept until it does.
        """
        while (connection := self._connection) is None or self._blocked:
            if self._closed:
                raise ConnectionError("closed")
            self._changed.clear()
            await self._changed.wait()
        return connection

    def reopen(self) -> None:
        """Replace a connection that is open and of no use."""
        if self._connection is not None:
            log.warning("broker connection given up", **self._about)
            self._connection.lane.abort()

    async def close(self) -> None:
        self._closed = True
        if self._keeper is not None:
            await cancel(self._keeper)
        self._changed.set()  # so that tasks waiting for it learn that it never will be open

    async def _keep_open(self) -> None:
        backoff = reconnect_backoff()
        while True:
            try:
                async with self._connected() as connection:
                    backoff.reset()
                    await self._watch(connection)
            except Exception as error:  # noqa: BLE001 - whatever it is, a connection is still wanted
                log.warning("broker connection failed", **self._about, error=self.describe(error))
            await asyncio.sleep(backoff.next_seconds())

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[FastConnection]:
        connection = FastConnection(self._url)
        try:
            with cancellation_as_connection_error():
                await connection.connect(timeout=CONNECT_SECONDS)
            self._blocked = False
            connection.lane.register(CONNECTION_CHANNEL, self._note_alarm)
            self._connection = connection
            self._changed.set()
            log.info("broker connection opened", **self._about)
            yield connection
        finally:
            self._connection = None
            await close_quietly(connection)

    def _note_alarm(self, kind: int, frames: bytes, start: int, _end: int) -> bool:
        """Of the broker, as it announces it on the connection itself. Only watch: aiormq gets these frames too."""
        if kind == METHOD and frames.startswith(BLOCKED_ID, start):
            self._blocked = True
            log.warning("broker blocks publishing", **self._about, reason=short_string(frames, start + ID_BYTES))
        elif kind == METHOD and frames.startswith(UNBLOCKED_ID, start):
            self._blocked = False
            log.warning("broker blocks publishing no more", **self._about)
            self._changed.set()
        return False

    async def _watch(self, connection: AbstractConnection) -> None:
        """Return when the connection is lost."""
        transport = connection.transport
        if transport is None:
            return
        closing = transport.connection.closing
        await asyncio.wait([closing])
        log.warning("broker connection lost", **self._about, error=self.describe(why(closing)))

    def describe(self, error: BaseException | None) -> str:
        """The error's text without the user's name, which RabbitMQ repeats in its refusals."""
        if error is None:
            return "it was silent for too long, or closed here"
        text = f"{type(error).__name__}: {error}".removesuffix(": ")  # a timeout says nothing
        for secret in (self._url.user, self._url.password):
            text = text.replace(f"'{secret}'", "'***'") if secret else text
        return text


async def open_channel(connection: AbstractConnection, *, confirms: bool) -> AbstractChannel:
    """A new channel, without aio-pika's own around it, which would leave callbacks on the connection."""
    if connection.transport is None:
        raise ConnectionError("closed")
    with cancellation_as_connection_error():
        async with asyncio.timeout(CALL_SECONDS):
            return await connection.transport.connection.channel(publisher_confirms=confirms)


async def in_time(call: Awaitable[object]) -> None:
    """Wait for the broker's answer. Raises TimeoutError after `CALL_SECONDS`.

    aiormq's own limit is wait_for, which up to Python 3.11 drops a cancellation that comes with the answer.
    """
    async with asyncio.timeout(CALL_SECONDS):
        await call


async def close_quietly(closable: AbstractConnection | AbstractChannel) -> None:
    """Close what may be dead already; give up after a while."""
    before = _cancellations()
    with suppress(*BROKER_FAILURES), cancellation_as_connection_error():
        async with asyncio.timeout(CLOSE_SECONDS):
            await closable.close()
    if _cancellations() > before:  # aiormq drops one that comes in the moment in which a channel closes
        raise asyncio.CancelledError


@contextmanager
def cancellation_as_connection_error() -> Iterator[None]:
    """In a task waiting on a dying channel aiormq raises CancelledError: make it ConnectionError unless cancelled."""
    try:
        yield
    except asyncio.CancelledError as error:
        if _cancellations():
            raise
        raise ConnectionError("the channel was closed") from error


def _cancellations() -> int:
    """How often this task has been cancelled."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def why(closing: "asyncio.Future[object]") -> BaseException | None:
    """What ended a connection or channel that is closing; None: aiormq gave it up, usually as silent, or it was us."""
    error = None if closing.cancelled() else closing.exception()
    return None if isinstance(error, asyncio.CancelledError) else error


def reconnect_backoff() -> Backoff:
    return Backoff(base_seconds=0.1, cap_seconds=5.0)
