"""The toy's commands, as they are typed, in this process."""

import os

from click.testing import CliRunner, Result

from messages.transport.command_line.commands import Program, command_line
from tests.integration.toy.service import Toy, ToySettings
from tests.integration.toy.station import Station


def tell(station: Station, *arguments: str, environment: dict[str, str] | None = None) -> Result:
    return tell_toy("parked", *arguments, environment={"TOY_DATABASE_URL": station.url} | (environment or {}))


def tell_toy(*arguments: str, environment: dict[str, str]) -> Result:
    program = Program("toy", ToySettings, lambda _: Toy().service())
    return CliRunner().invoke(command_line(program), arguments, env=os.environ | environment)
