"""What is printed can be shown by every terminal, and is the same in every time zone."""

import time
from datetime import datetime, timedelta, timezone

import click
import pytest
from click.testing import CliRunner

from messages.transport.command_line.failures import CommandLine
from messages.transport.command_line.printing import utc


def test_what_a_terminal_cannot_show_is_escaped() -> None:
    group = CommandLine("toy")

    @group.command()
    def show() -> None:
        click.echo("caf\u00e9 \u6f22")

    said = CliRunner(charset="latin-1").invoke(group, ["show"])
    assert (said.exit_code, said.output) == (0, "caf\u00e9 \\u6f22\n")


@pytest.mark.parametrize(
    ("at", "printed"),
    [
        (datetime(2026, 3, 1, 9, 15, tzinfo=timezone(timedelta(hours=1))), "2026-03-01 08:15:00"),
        (datetime.min, "0001-01-01 00:00:00"),  # noqa: DTZ901  as asyncpg reads it
        (datetime.max, "9999-12-31 23:59:59"),  # noqa: DTZ901
    ],
    ids=["in a zone", "-infinity", "infinity"],
)
def test_a_time_is_printed_in_utc_wherever_that_is_done(
    at: datetime, printed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for zone in ("Asia/Tokyo", "America/New_York"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        assert utc(at) == printed
    monkeypatch.undo()
    time.tzset()
