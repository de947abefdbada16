"""Whoever does not read the log holds nobody up; lines are lost whole, and counted."""

import logging
import os
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from messages.transport.daemon import lossy_handler
from messages.transport.daemon.lossy_handler import IMPATIENT_SECONDS, LossyHandler

PIPE_BYTES = 65_536
NUMBER = 5_000
NOTICE = "log lines dropped"


class Log:
    """A handler on a pipe, and the pipe's other end."""

    def __init__(self) -> None:
        read, write = os.pipe()
        self.reader: IO[bytes] = os.fdopen(read, "rb", buffering=0)
        self.writer = os.fdopen(write, "w")
        self.handler = LossyHandler(self.writer)
        self.handler.setFormatter(Format())

    def say(self, *texts: str) -> None:
        for text in texts:
            self.handler.handle(logging.makeLogRecord({"msg": text}))

    def read(self) -> str:
        """What can be read now."""
        os.set_blocking(self.reader.fileno(), False)
        return b"".join(iter(lambda: self.reader.read(PIPE_BYTES) or b"", b"")).decode()


class Format(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"{record.getMessage()} {getattr(record, 'lines', '')}".rstrip()


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    yield log
    log.reader.close()
    log.writer.close()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lossy_handler, "PATIENCE_SECONDS", 0.05)


def test_a_log_that_nobody_reads_is_waited_for_once(log: Log) -> None:
    began = time.monotonic()
    log.say(*texts())
    assert 0.05 <= time.monotonic() - began < 2


def test_a_terminal_that_shows_nothing_is_waited_for_once() -> None:
    terminal, shown = os.openpty()
    with os.fdopen(terminal, "rb"), os.fdopen(shown, "w") as writer:
        handler = LossyHandler(writer)
        records = [logging.makeLogRecord({"msg": text}) for text in texts()]
        talking = threading.Thread(target=lambda: [handler.handle(record) for record in records], daemon=True)
        talking.start()
        talking.join(60)
        assert not talking.is_alive()
        assert handler.take_dropped() > NUMBER / 2


def test_when_it_is_read_again_it_goes_on_with_whole_lines_and_tells_how_many_are_missing(log: Log) -> None:
    log.say(*texts())
    dropped = log.handler.take_dropped()
    written = log.read()
    log.say("at last")
    lines = (written + log.read()).splitlines()
    assert lines == [*texts()[: NUMBER - dropped], f"{NOTICE} {dropped}", "at last"]
    assert dropped > NUMBER / 2
    assert log.handler.take_dropped() == 0


def test_what_is_told_once_is_not_told_again(log: Log) -> None:
    log.say(*texts())
    log.read()
    log.say("at last", "and again")
    assert log.read().splitlines()[-3:] == [f"{NOTICE} {log.handler.take_dropped()}", "at last", "and again"]


def test_a_line_longer_than_the_pipe_is_whole_if_somebody_reads(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lossy_handler, "PATIENCE_SECONDS", 60.0)  # the reader is a thread, which may have to wait
    text = "x" * 3 * PIPE_BYTES
    read: list[bytes] = []
    reading = threading.Thread(target=lambda: read.append(log.reader.read(1) + read_at_least(log, len(text))))
    reading.start()
    log.say(text)
    reading.join()
    assert read == [f"{text}\n".encode()]
    assert log.handler.take_dropped() == 0


def test_after_a_minute_it_is_waited_for_again(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.say(*texts())
    monkeypatch.setattr(time, "monotonic", lambda now=time.monotonic: now() + IMPATIENT_SECONDS)
    began = time.monotonic()
    log.say("one more")
    assert time.monotonic() - began >= 0.05


def test_what_nobody_will_ever_read_is_counted_and_no_error(log: Log) -> None:
    log.reader.close()
    log.say("a", "b", "c")
    assert log.handler.take_dropped() == 2, "the first still waits to be read"


def test_when_a_full_disk_has_room_again_it_goes_on_with_whole_lines_and_tells_how_many_are_missing(
    tmp_path: Path,
) -> None:
    with (tmp_path / "log").open("w") as file:
        handler = LossyHandler(file)
        handler.setFormatter(Format())
        with room_for(8):
            for text in ("whole", "cut off", "lost", "lost too"):
                handler.handle(logging.makeLogRecord({"msg": text}))
        handler.handle(logging.makeLogRecord({"msg": "at last"}))
    assert (tmp_path / "log").read_text().splitlines() == ["whole", "cut off", f"{NOTICE} 2", "at last"]
    assert handler.take_dropped() == 2


def test_a_descriptor_that_does_not_block_loses_no_more_than_one_that_does(log: Log) -> None:
    os.set_blocking(log.writer.fileno(), False)
    log.say(*texts())
    dropped = log.handler.take_dropped()
    written = log.read()
    log.say("at last")
    assert (written + log.read()).splitlines() == [*texts()[: NUMBER - dropped], f"{NOTICE} {dropped}", "at last"]


def test_a_pipe_that_cannot_be_opened_again_holds_nobody_up_either(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's, say: writing more to it at once than it has room for waits for its reader."""

    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", refuse)
    log.handler = LossyHandler(log.writer)
    talking = threading.Thread(target=log.say, args=("x" * 3 * PIPE_BYTES,), daemon=True)
    talking.start()
    talking.join(20)
    assert not talking.is_alive()


def test_what_the_stream_cannot_show_is_escaped(log: Log) -> None:
    log.writer.reconfigure(encoding="ascii")
    log.handler = LossyHandler(log.writer)
    log.say("café")
    assert log.read() == "caf\\xe9\n"


def test_a_line_that_cannot_be_made_is_no_error_of_whoever_logs(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    log.handler.handle(logging.makeLogRecord({"msg": "%d", "args": ("one",)}))
    log.say("two")
    assert log.read() == "two\n"
    assert "TypeError: %d format" in capsys.readouterr().err


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file of this process can become larger, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def texts() -> list[str]:
    return [f"line {number} {'-' * (number % 100 + 1)}" for number in range(NUMBER)]


def read_at_least(log: Log, size: int) -> bytes:
    read = b""
    while len(read) < size:
        read += log.reader.read(PIPE_BYTES) or b""
    return read
