"""How a command fails: one line on stderr, and an exit code that says whose fault it is."""

import click


def told(error: BaseException) -> str:
    """What it says, in one line, be it with a hint; a timeout, say, says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


class WrongUsage(click.ClickException):
    """The user's: a wrong setting or argument."""

    exit_code = 2


class Unreachable(click.ClickException):
    """A server's: it cannot be reached, or refuses the user."""

    exit_code = 3
