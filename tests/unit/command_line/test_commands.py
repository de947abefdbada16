"""Every service has the same commands and its own, and each of them explains itself."""

import click
import pytest

from tests.unit.command_line.programs import PROGRAMS, typed


def test_every_service_has_the_same_commands_and_its_own() -> None:
    common = {"run", "migrate", "check", "parked", "publish"}

    assert commands(PROGRAMS["order-saga"]) == common | {"place", "cancel", "show", "list", "audit"}
    assert commands(PROGRAMS["store-worker"]) == common | {"stock"}
    assert commands(PROGRAMS["delivery-worker"]) == common | {"agents"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_explains_itself(program: str) -> None:
    for command in commands(PROGRAMS[program]):
        told = typed(program, command, "--help")
        assert told.exit_code == 0
        assert len(told.stdout.splitlines()) > 3


def commands(group: click.Group) -> set[str]:
    return set(group.commands)
