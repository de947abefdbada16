"""How a command fails: one line on stderr, and an exit code that says whose fault it is."""

import click


class WrongUsage(click.ClickException):
    """The user's: a wrong setting or argument."""

    exit_code = 2


class Unreachable(click.ClickException):
    """A server's: it cannot be reached, or refuses the user."""

    exit_code = 3
