"""A log handler that loses lines rather than stand still when nobody reads the log."""

import logging
import os
import select
import stat
import time
from contextlib import suppress
from typing import TextIO

PATIENCE_SECONDS = 1.0
IMPATIENT_SECONDS = 60.0

log = logging.getLogger(__name__)


class LossyHandler(logging.Handler):
    """Writes a line to `stream` for each record, past its buffer; needs a descriptor.

    If its reader stands still, a pipe fills up, and writing to it waits for ever; so does writing to a stopped
    terminal. This handler waits PATIENCE_SECONDS, at most once in IMPATIENT_SECONDS, and then drops lines until it
    can write again. Then it first writes the rest of a line that was cut, and says how many are missing.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._descriptor = _opened_again(stream.fileno())
        self._encoding = stream.encoding
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLOUT)
        self._unwritten = b""
        self._patient_at = 0.0
        self._untold = 0
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Called with the handler's lock held, by any thread."""
        try:
            self._write_rest()
            if self._unwritten:
                self._drop()
                return
            if self._untold:
                self._unwritten = self._line(_record_of(self._untold))
                self._untold = 0
            self._unwritten += self._line(record)
            self._write_rest()
        except Exception:  # noqa: BLE001  as all of logging's handlers do
            self.handleError(record)

    def take_dropped(self) -> int:
        """How many lines were dropped since the last call."""
        taken, self._dropped = self._dropped, 0
        return taken

    def _line(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}\n".encode(self._encoding, "backslashreplace")

    def _write_rest(self) -> None:
        while self._unwritten and self._has_room():
            try:
                # As much as a pipe that has room takes without waiting.
                written = os.write(self._descriptor, self._unwritten[: select.PIPE_BUF])
            except OSError:  # somebody else has filled it, a line break did not fit, the disk is full, nobody reads it
                return
            self._unwritten = self._unwritten[written:]

    def _drop(self) -> None:
        self._untold += 1
        self._dropped += 1

    def _has_room(self) -> bool:
        if self._poll.poll(0):
            return True
        if time.monotonic() < self._patient_at:
            return False
        has_room = bool(self._poll.poll(PATIENCE_SECONDS * 1000))
        if not has_room:
            self._patient_at = time.monotonic() + IMPATIENT_SECONDS
        return has_room


def _opened_again(descriptor: int) -> int:
    """The same pipe or terminal by a descriptor that never waits, which others do not share; otherwise itself."""
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode) or os.isatty(descriptor):
        with suppress(OSError):  # another user's, say
            return os.open(f"/dev/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    return descriptor


def _record_of(dropped: int) -> logging.LogRecord:
    text = "log lines dropped"
    return log.makeRecord(log.name, logging.WARNING, __file__, 0, text, (), None, extra={"lines": dropped})
