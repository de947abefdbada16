"""Requests from a file or a pipe, one JSON document a line, read by a thread so that a slow pipe blocks nothing."""

import asyncio
import contextlib
import io
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeAlias

from messages.contracts.order import CancelOrder, OrderRequested
from messages.transport.command_line.failures import WrongUsage
from messages.transport.edge.requests import Request, RequestReader, read_lines
from messages.transport.faults import one_line
from order_saga.client.awaiting import Asked

AHEAD = 1_000
READER = RequestReader(OrderRequested, CancelOrder)


def read(stream: BinaryIO) -> Iterator[Asked]:
    """Yield the requests. Raises WrongUsage, which names the first line that is none."""
    for number, request in read_lines(READER, stream):
        yield Asked(number, request)


class Lines:
    """What has been read so far, and whether there will be more."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream if stream.seekable() else _own(stream)
        self._read: queue.Queue[Asked] = queue.Queue(AHEAD)
        self._ended = False
        self.mistake: WrongUsage | None = None
        """Why reading stopped before the end of the input."""

    def start(self, news: asyncio.Event) -> None:
        """Begin to read; `news` is set after each line and at the end."""
        loop = asyncio.get_running_loop()

        def notify() -> None:
            # The loop may be closed: this thread is not waited for, as a pipe may stay silent.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(news.set)

        threading.Thread(target=self._read_all, args=(notify,), name="read lines", daemon=True).start()

    @property
    def exhausted(self) -> bool:
        return self._ended and self._read.empty()

    def take(self, most: int) -> list[Asked]:
        """What is there, without waiting for more."""
        return [self._read.get_nowait() for _ in range(min(most, self._read.qsize()))]

    def _read_all(self, notify: Callable[[], None]) -> None:
        try:
            for asked in read(self._stream):
                self._read.put(asked)
                notify()
        except WrongUsage as mistake:
            self.mistake = mistake
        except Exception as error:  # noqa: BLE001  whatever it was, the rest of the input must not pass for its end
            self.mistake = WrongUsage(f"reading the input failed: {type(error).__name__}: {one_line(error)}")
        finally:
            self._ended = True
            notify()


class Given:
    """Requests that are there from the start."""

    def __init__(self, *requests: Request) -> None:
        self._left = deque(Asked(0, request) for request in requests)

    def start(self, news: asyncio.Event) -> None:
        """There is nothing to read."""

    @property
    def exhausted(self) -> bool:
        return not self._left

    def take(self, most: int) -> list[Asked]:
        return [self._left.popleft() for _ in range(min(most, len(self._left)))]


Source: TypeAlias = Lines | Given
"""Where requests come from."""


def _own(pipe: BinaryIO) -> BinaryIO:
    """The same pipe, from which nothing has been read yet, as a file that only the thread uses.

    While the thread waits in it, nobody can close it, and Python aborts if it tries to at its exit.
    """
    raw = io.FileIO(os.dup(pipe.fileno()))
    raw.name = pipe.name
    return io.BufferedReader(raw)
