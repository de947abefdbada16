"""A failure is told in one line with its place and without a secret, and an interruption by its exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from messages.transport.command_line.failures import CommandLine, one_line_with_place
from messages.transport.faults import one_line

FULL = Path("/dev/full")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError("no route\nHINT:  ask somebody"), "no route HINT: ask somebody"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_what_an_error_says_is_one_line(error: Exception, sentence: str) -> None:
    assert one_line(error) == sentence


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://toy:secret@db:5432/orders?sslmode=require", " (db:5432/orders)"),
        ("postgresql://toy:se@cret@[::1]/orders", " ([::1]/orders)"),
        ("postgresql://toy:secret@a,b:2/orders", " (a,b:2/orders)"),
        ("postgresql://db", " (db)"),
        ("postgresql:///orders?host=/run/postgresql&password=secret", ""),
        ("postgresql://toy:1/secret@db/orders", ""),
        ("postgresql://toy:1?secret@db/orders", ""),
        ("postgresql://toy:1#secret@db/orders", ""),
    ],
)
def test_of_a_url_only_the_place_is_told(url: str, place: str) -> None:
    assert one_line_with_place(TimeoutError(), url) == f"TimeoutError{place}"
    assert one_line_with_place(ValueError("no"), url) == "no"


def test_who_interrupts_a_command_gets_the_exit_code_of_a_shell() -> None:
    group = CommandLine("toy")

    @group.command()
    def wait() -> None:
        raise KeyboardInterrupt

    said = CliRunner().invoke(group, ["wait"])
    assert (said.exit_code, said.output) == (130, "")


@pytest.mark.skipif(not FULL.exists(), reason=f"a disk that is full is {FULL}, which is not here")
@pytest.mark.parametrize("command", ["audit", "--version"])
def test_a_disk_that_takes_no_error_either_is_told_by_the_exit_code(command: str) -> None:
    with FULL.open("w") as full:
        said = subprocess.run(
            [sys.executable, "-m", "order_saga", command], env={}, stdout=full, stderr=full, check=False
        )
    assert said.returncode == 3


def test_an_output_that_is_open_for_reading_only_is_one_line() -> None:
    with Path(os.devnull).open() as unwritable:
        said = subprocess.run(
            [sys.executable, "-m", "order_saga", "list", "--help"],
            env={}, stdout=unwritable, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    assert (said.returncode, said.stderr) == (3, b"Error: the output is incomplete: Bad file descriptor\n")
