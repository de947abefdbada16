"""How a command fails: one line on stderr, and an exit code that says whose fault it is."""

import errno
from typing import Any

import click


def told(error: BaseException) -> str:
    """What it says, in one line, be it with a hint; a timeout, say, says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


class CommandLine(click.Group):
    """Commands of which each fails in one line, also where a full disk takes no more of what it prints."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise Untold(f"not all could be told: {error.strerror}") from None


class Untold(click.ClickException):
    """The host's: what was to be told cannot be written."""

    exit_code = 3


class WrongUsage(click.ClickException):
    """The user's: a wrong setting or argument."""

    exit_code = 2


class Unreachable(click.ClickException):
    """A server's: it cannot be reached, or refuses the user."""

    exit_code = 3
