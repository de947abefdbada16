"""What a command says on stderr beside its result."""

from contextlib import suppress

import click


def remark(text: str) -> None:
    """If nobody reads it there, the exit code is the same."""
    with suppress(BrokenPipeError):
        click.echo(text, err=True)
