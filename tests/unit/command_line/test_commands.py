"""Every service has the same commands and its own, and each of them explains itself."""

from collections.abc import Iterator

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


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_list_of_commands_cuts_a_sentence(program: str) -> None:
    for path in groups(PROGRAMS[program]):
        told = typed(program, *path, "--help").stdout
        listed = told.partition("\nCommands:\n")[2].splitlines()
        assert listed
        assert [line for line in listed if line.endswith("...")] == [], path


def test_check_says_that_it_may_create_queues() -> None:
    told = " ".join(typed("store-worker", "check", "--help").stdout.split())
    assert (
        "fit together. With TOPOLOGY=declare it creates those exchanges, queues and bindings that are missing" in told
    )


def groups(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    """The words that lead to each list of commands."""
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from groups(command, *path, name)


def commands(group: click.Group) -> set[str]:
    return set(group.commands)
