"""What a user gets wrong at the command line is reported in one line that names it, before anything else happens."""

import io
import json
import time
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

import click
import pytest
from click.testing import CliRunner, Result

import delivery_worker.__main__
import messages.transport.command_line.commands
import order_saga.__main__
import order_saga.client.commands
import store_worker.__main__
from messages.transport.command_line.failures import CommandLine, told_at
from messages.transport.command_line.printing import utc
from messages.transport.edge import publishing
from messages.transport.faults import told
from messages.transport.strict_json import DOCUMENT_BYTES

PROGRAMS = {
    "order-saga": order_saga.__main__.main,
    "store-worker": store_worker.__main__.main,
    "delivery-worker": delivery_worker.__main__.main,
}
NOWHERE = "postgresql://nobody:secret@127.0.0.1:1/nowhere"
SETTINGS = {
    f"{service}_{name}_URL": NOWHERE if name == "DATABASE" else None
    for service in ("ORDER_SAGA", "STORE_WORKER", "DELIVERY_WORKER")
    for name in ("DATABASE", "READER")
}


def typed(
    program: str, *arguments: str, settings: Mapping[str, str | None] | None = None, stdin: str | io.BytesIO = ""
) -> Result:
    return CliRunner().invoke(PROGRAMS[program], arguments, input=stdin, env={**SETTINGS, **(settings or {})})


@pytest.fixture(autouse=True)
def _logs_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command says where its process writes its log; here that is the process of the tests."""
    for module in (messages.transport.command_line.commands, order_saga.client.commands, publishing):
        monkeypatch.setattr(module, "configure_logs", lambda *_: None)


def commands(group: click.Group) -> set[str]:
    return set(group.commands)


def test_every_service_has_the_same_commands_and_its_own() -> None:
    common = {"run", "migrate", "check", "parked", "publish"}

    assert commands(PROGRAMS["order-saga"]) == common | {"place", "show", "list", "audit"}
    assert commands(PROGRAMS["store-worker"]) == common | {"stock"}
    assert commands(PROGRAMS["delivery-worker"]) == common | {"agents"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_explains_itself(program: str) -> None:
    for command in commands(PROGRAMS[program]):
        told = typed(program, command, "--help")
        assert told.exit_code == 0
        assert len(told.stdout.splitlines()) > 3


@pytest.mark.parametrize("command", [("audit",), ("show", str(uuid.uuid4()))], ids=["audit", "show"])
@pytest.mark.parametrize(
    ("settings", "code", "sentence"),
    [
        ({"DELIVERY_WORKER_DATABASE_URL": None}, 2, "DELIVERY_WORKER_DATABASE_URL: not set"),
        ({"STORE_WORKER_DATABASE_URL": ""}, 2, "STORE_WORKER_DATABASE_URL: not set"),
        ({"ORDER_SAGA_DATABASE_URL": "mysql://x"}, 2, "ORDER_SAGA_DATABASE_URL: not a PostgreSQL URL"),
        ({"ORDER_SAGA_READER_URL": "mysql://x"}, 2, "ORDER_SAGA_READER_URL: not a PostgreSQL URL"),
        ({}, 3, "ORDER_SAGA_DATABASE_URL: "),
    ],
    ids=["missing", "empty", "of another database", "of another database for readers", "unreachable"],
)
def test_a_wrong_setting_is_named(
    command: tuple[str, ...], settings: dict[str, str | None], code: int, sentence: str
) -> None:
    said = typed("order-saga", *command, settings=settings)

    assert (said.exit_code, said.stdout) == (code, "")
    assert said.stderr.startswith(f"Error: {sentence}")
    assert said.stderr.count("\n") == 1
    assert "secret" not in said.stderr


def test_what_is_unfinished_only_the_order_saga_s_own_database_says() -> None:
    missing = typed("order-saga", "list", settings={"ORDER_SAGA_DATABASE_URL": None})
    away = typed("order-saga", "list", settings={"STORE_WORKER_DATABASE_URL": None, "ORDER_SAGA_READER_URL": NOWHERE})

    assert (missing.exit_code, missing.stdout, away.exit_code, away.stdout) == (2, "", 3, "")
    assert missing.stderr.startswith("Error: ORDER_SAGA_DATABASE_URL: not set")
    assert away.stderr.startswith("Error: ORDER_SAGA_READER_URL: ")


@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("store-worker", ("stock", "list")),
        ("store-worker", ("stock", "list", "--ids", "--json")),
        ("store-worker", ("stock", "withdraw", "north", "P-1")),
        ("store-worker", ("stock", "withdraw", "north", "--all")),
        ("delivery-worker", ("agents", "list")),
        ("delivery-worker", ("agents", "completed", "A-1", str(uuid.uuid4()))),
    ],
)
def test_whatever_looks_first_names_the_database_it_cannot_reach(program: str, command: tuple[str, ...]) -> None:
    prefix = program.replace("-", "_").upper()

    own = typed(program, *command)
    for_readers = typed(program, *command, settings={f"{prefix}_READER_URL": NOWHERE})

    assert own.exit_code == for_readers.exit_code == 3
    assert own.stderr.startswith(f"Error: {prefix}_DATABASE_URL: ")
    assert for_readers.stderr.startswith(f"Error: {prefix}_READER_URL: ")
    assert all(said.stderr.endswith(" (127.0.0.1:1/nowhere)\n") for said in (own, for_readers))


@pytest.mark.parametrize("command", [("migrate",), ("check",), ("parked", "list")], ids=lambda command: command[0])
def test_whatever_cannot_reach_its_database_says_where_it_looked(command: tuple[str, ...]) -> None:
    said = typed("store-worker", *command, settings={"BROKER_URL": "amqp://127.0.0.1:1/"})

    (line,) = [line for line in said.stderr.splitlines() if "STORE_WORKER_DATABASE_URL: " in line]
    assert line.endswith(" (127.0.0.1:1/nowhere)")
    assert "secret" not in said.stderr


@pytest.mark.parametrize(
    ("program", "arguments", "problem"),
    [
        ("order-saga", ("show", "42"), "'42' is not a valid UUID"),
        ("order-saga", ("place", "no/such/file"), "No such file or directory"),
        ("order-saga", ("place", "--window", "0", "-"), "0 is not in the range"),
        ("order-saga", ("place", "--timeout", "0", "-"), "0.0 is not in the range"),
        ("order-saga", ("place", "--timeout", "nan", "-"), "'nan' is not a number of seconds"),
        ("order-saga", ("place", "--timeout", "inf", "-"), "inf is not in the range"),
        ("order-saga", ("place", "-"), "<stdin>, line 1, is not a request: "),
        ("order-saga", ("audit", "--grace", "-1"), "-1.0 is not in the range"),
        ("order-saga", ("audit", "--grace", "nan"), "'nan' is not a number of seconds"),
        ("order-saga", ("audit", "--grace", "inf"), "inf is not in the range"),
        ("order-saga", ("audit", "--grace", "3e11"), "300000000000.0 is not in the range"),
        ("order-saga", ("audit", "--grace", "soon"), "'soon' is not a valid"),
        ("order-saga", ("parked", "show", "99999999999999999999"), "99999999999999999999 is not in the range"),
        ("order-saga", ("list", "--limit", "0"), "0 is not in the range"),
        ("order-saga", ("parked", "show", "0"), "0 is not in the range"),
        ("store-worker", ("parked", "replay", "1", "9223372036854775808"), "9223372036854775808 is not in the range"),
        ("delivery-worker", ("parked", "discard", "9223372036854775808"), "9223372036854775808 is not in the range"),
        ("store-worker", ("stock", "add", "north"), "give STORE, SKU and QUANTITY, or --file"),
        ("store-worker", ("stock", "add", "north", "milk", "0"), "0 is not in the range"),
        ("store-worker", ("stock", "add", "no rth", "milk", "1"), "store_id: String should match pattern"),
        ("store-worker", ("stock", "list", "--received-since", "soon"), "'soon' does not match the formats"),
        ("store-worker", ("stock", "withdraw"), "Missing argument 'STORE'"),
        ("store-worker", ("stock", "withdraw", "north"), "give packets, or options that choose them, or --all"),
        ("store-worker", ("stock", "add", "--file", "-"), "<stdin>, line 1, is not a request: "),
        (
            "store-worker",
            ("stock", "add", "--file", "-", "--best-before", "2099-01-01"),
            "--best-before does not go with ",
        ),
        ("delivery-worker", ("agents", "add", "centre"), "give ZONE and AGENT, or --file"),
        ("delivery-worker", ("agents", "add", "centre", "A 1"), "agent_id: String should match pattern"),
        ("delivery-worker", ("agents", "offline"), "Missing argument 'AGENT...'"),
        ("delivery-worker", ("agents", "offline", "A 1"), "agent_id: String should match pattern"),
        ("delivery-worker", ("agents", "completed", "A-1", "42"), "'42' is not a valid UUID"),
        ("delivery-worker", ("agents", "add", "--file", "-"), "<stdin>, line 1, is not a request: "),
    ],
)
def test_input_that_is_wrong_is_refused_before_anything_is_said(
    program: str, arguments: tuple[str, ...], problem: str
) -> None:
    said = typed(program, *arguments, stdin="nonsense\n")

    assert (said.exit_code, said.stdout) == (2, "")
    assert problem in said.stderr


SPEAKERS = pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("order-saga", ("place", "-")),
        ("store-worker", ("stock", "add", "north", "milk", "1")),
        ("delivery-worker", ("agents", "add", "north", "A-1")),
        ("delivery-worker", ("agents", "offline", "A-1")),
    ],
)


@SPEAKERS
@pytest.mark.parametrize("url", ["http://toy:secret@x", "broker", "amqp://", "amqp://toy:secret@x:port", "amqp://[x"])
@pytest.mark.parametrize("variable", ["CLIENT_BROKER_URL", "BROKER_URL"])
def test_what_is_no_url_of_a_broker_is_a_wrong_setting_and_told_by_the_variable_that_was_read(
    program: str, arguments: tuple[str, ...], url: str, variable: str
) -> None:
    given = {"CLIENT_BROKER_URL": None, "BROKER_URL": "amqp://127.0.0.1:1/", variable: url}

    said = typed(program, *arguments, settings=given)

    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr.startswith(f"Error: {variable}: ")
    assert said.stderr.count("\n") == 1
    assert "secret" not in said.stderr


@SPEAKERS
@pytest.mark.parametrize("variable", ["CLIENT_BROKER_URL", "BROKER_URL"])
@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("amqp://toy:secret@127.0.0.1:1/", "the broker cannot be reached at 127.0.0.1:1: Connection refused\n"),
        ("amqp://toy:secret@[::1]:1/", "the broker cannot be reached at [::1]:1: "),
        (
            "amqps://127.0.0.1:1/?cafile=/no/such.pem",
            "cannot read a file in the URL: [Errno 2] No such file or directory",
        ),
        (f"amqps://127.0.0.1:1/?cafile={__file__}", "TLS: "),
    ],
    ids=["nobody there", "nobody there either", "no certificate", "not a certificate"],
)
def test_a_broker_that_cannot_be_had_is_told_by_the_variable_that_was_read(
    program: str, arguments: tuple[str, ...], variable: str, url: str, sentence: str
) -> None:
    given = {"CLIENT_BROKER_URL": "", "BROKER_URL": "http://not.read/", variable: url}

    said = typed(program, *arguments, settings=given)

    assert (said.exit_code, said.stdout) == (3, "")
    assert said.stderr.startswith(f"Error: {variable}: {sentence}")
    assert said.stderr.count("\n") == 1
    assert "secret" not in said.stderr


READERS = pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("order-saga", ("place", "-")),
        ("store-worker", ("stock", "add", "--file", "-")),
        ("delivery-worker", ("agents", "add", "--file", "-")),
    ],
)


@READERS
def test_a_line_that_is_too_deep_to_be_read_is_refused(program: str, arguments: tuple[str, ...]) -> None:
    said = typed(program, *arguments, stdin="[" * 20_000)

    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr.startswith("Error: <stdin>, line 1, is not a request: ")
    assert said.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (("stock", "add", "--file", "-"), "StockReceived"),
        (("publish", "-"), "StockReceived"),
        (("publish", "-"), "PacketsWithdrawn"),
    ],
)
def test_what_is_larger_than_a_client_s_document_may_be_is_refused_before_anything_is_said(
    command: tuple[str, ...], kind: str
) -> None:
    """A thousand packets are not too many, and with the longest of ids they are too much."""
    stock = {"type": f"{kind}/1.0", "store_id": "north", "sku": "milk", "best_before": "2099-01-01T00:00:00Z"}
    lines = [
        json.dumps(stock | {"packet_ids": [f"{number:0{length}}" for number in range(1_000)]}) for length in (58, 64)
    ]

    assert len(lines[0]) <= DOCUMENT_BYTES < len(lines[1])
    said = typed("store-worker", *command, stdin="\n".join(lines), settings={"BROKER_URL": "amqp://127.0.0.1:1/"})

    assert (said.exit_code, said.stdout) == (2, "")
    told = "Error: <stdin>, line 2, is not a request: larger than the 65536 bytes allowed (too_large)\n"
    assert said.stderr == told


class Unreadable(io.BytesIO):
    def readline(self, _: int | None = -1, /) -> bytes:
        raise OSError(5, "Input/output error")


@READERS
def test_input_that_cannot_be_read_is_one_line(program: str, arguments: tuple[str, ...]) -> None:
    said = typed(program, *arguments, stdin=Unreadable())

    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr == "Error: <stdin> cannot be read: [Errno 5] Input/output error\n"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError("no route\nHINT:  ask somebody"), "no route HINT: ask somebody"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_what_an_error_says_is_one_line(error: Exception, sentence: str) -> None:
    assert told(error) == sentence


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
    assert told_at(TimeoutError(), url) == f"TimeoutError{place}"
    assert told_at(ValueError("no"), url) == "no"


def test_who_interrupts_a_command_gets_the_exit_code_of_a_shell() -> None:
    group = CommandLine("toy")

    @group.command()
    def wait() -> None:
        raise KeyboardInterrupt

    said = CliRunner().invoke(group, ["wait"])
    assert (said.exit_code, said.output) == (130, "")


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
