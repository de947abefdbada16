"""How a command fails: one line on stderr, and an exit code that says whose fault it is."""

import errno
from typing import Any
from urllib.parse import urlsplit

import click


def told(error: BaseException) -> str:
    """What it says, in one line, be it with a hint; a timeout, say, says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def told_at(error: BaseException, url: str) -> str:
    """The same, and where that was, unless it is what a database there has said."""
    place = _place(url) if isinstance(error, OSError) else None
    return f"{told(error)} ({place})" if place else told(error)


def _place(url: str) -> str | None:
    """Host, port and database; nothing, where an @ leaves open which part of it is the password."""
    parts = urlsplit(url)
    place = f"{parts.netloc.rpartition('@')[2]}{parts.path}"
    return place if parts.netloc and "@" not in f"{place}{parts.query}{parts.fragment}" else None


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
