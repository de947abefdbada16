"""How a command fails: one line on stderr, and an exit code that says whose fault it is."""

import errno
import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import Any

import click

from messages.transport.database.hosts import place
from messages.transport.faults import one_line

LAST_STANDARD_STREAM = 2
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""A disk that is full, or a quota; a file that may not grow; a terminal that is gone; what is open for reading only."""
INTERRUPTED = 130
"""The exit code after Ctrl-C, as a shell has it."""


def one_line_with_place(error: BaseException, url: str) -> str:
    """What it says, in one line; for network errors also the server's host, port and database."""
    where = place(url) if isinstance(error, OSError) else None
    return f"{one_line(error)} ({where})" if where else one_line(error)


class CommandLine(click.Group):
    """Commands that each fail in one line, also if their output cannot be written."""

    def main(self, *arguments: Any, **extra: Any) -> Any:
        occupy_standard_streams()
        try:
            return super().main(*arguments, **extra)
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            os._exit(OutputError.exit_code)  # its line found no room either, and at exit Python would try again

    def invoke(self, ctx: click.Context) -> Any:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # as Python sets stderr: not every terminal shows all
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except RuntimeError as error:
            if "sys.stdin" not in str(error):  # how click reports that there is none
                raise
            raise WrongUsage("there is no standard input to read from") from None
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            _drop_output()
            raise OutputError(f"the output is incomplete: {error.strerror}") from None


def occupy_standard_streams() -> None:
    """In place of those that were closed for us: uvloop aborts the process when it closes a socket of such a number."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= LAST_STANDARD_STREAM:
        pass
    os.close(number)
    # The log goes there. Others may stay missing: a command that reads from stdin says so.
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115, PTH123  for as long as the process runs


def _drop_output() -> None:
    """What could not be written: at exit Python would try again, and exit with another code."""
    with suppress(AttributeError, OSError), open(os.devnull, "w") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


class OutputError(click.ClickException):
    """The host's fault: the output cannot be written."""

    exit_code = 3


class WrongUsage(click.ClickException):
    """The user's fault: a wrong setting or argument."""

    exit_code = 2


class Unreachable(click.ClickException):
    """A server's fault: it cannot be reached, or refuses the user."""

    exit_code = 3
