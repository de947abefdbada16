"""A database that is not set or cannot be reached is named in one line, with its place and without its secret."""

import uuid

import pytest

from tests.unit.command_line.programs import NOWHERE, typed


@pytest.mark.parametrize("command", [("audit",), ("show", str(uuid.uuid4()))], ids=["audit", "show"])
@pytest.mark.parametrize(
    ("settings", "code", "sentence"),
    [
        ({"DELIVERY_WORKER_DATABASE_URL": None}, 2, "DELIVERY_WORKER_DATABASE_URL: not set"),
        ({"STORE_WORKER_DATABASE_URL": ""}, 2, "STORE_WORKER_DATABASE_URL: not set"),
        ({"ORDER_SAGA_DATABASE_URL": "mysql://x"}, 2, "ORDER_SAGA_DATABASE_URL: invalid DSN: scheme is expected to be"),
        ({"ORDER_SAGA_READER_URL": "mysql://x"}, 2, "ORDER_SAGA_READER_URL: invalid DSN: scheme is expected to be"),
        ({"ORDER_SAGA_READER_URL": NOWHERE.replace(":1/", ":port/")}, 2, "ORDER_SAGA_READER_URL: not a PostgreSQL URL"),
        ({"ORDER_SAGA_READER_URL": f"{NOWHERE}?sslmode=full"}, 2, "ORDER_SAGA_READER_URL: `sslmode` parameter must be"),
        (
            {"ORDER_SAGA_READER_URL": f"{NOWHERE}?sslrootcert=/no/such.pem"},
            2,
            "ORDER_SAGA_READER_URL: cannot read its sslrootcert /no/such.pem: No such file or directory",
        ),
        ({}, 3, "ORDER_SAGA_DATABASE_URL: "),
    ],
    ids=[
        "missing",
        "empty",
        "of another database",
        "of another database for readers",
        "port",
        "mode",
        "certificate",
        "unreachable",
    ],
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


@pytest.mark.parametrize("command", [("migrate",), ("run",), ("parked", "list")], ids=lambda command: command[0])
def test_a_url_that_is_refused_before_any_server_is_asked_is_a_wrong_setting(command: tuple[str, ...]) -> None:
    said = typed("store-worker", *command, settings={"STORE_WORKER_DATABASE_URL": f"{NOWHERE}?sslmode=verfy"})

    assert said.exit_code == 2
    assert said.stderr.startswith("Error: STORE_WORKER_DATABASE_URL: `sslmode` parameter must be one of: ")
    assert said.stderr.count("\n") == 1


@pytest.mark.parametrize("url", [f"{NOWHERE}?sslmode", NOWHERE.replace("secret", "a@b:secret")])
@pytest.mark.parametrize("command", [("migrate",), ("run",), ("check",), ("parked", "list"), ("stock", "list")])
def test_a_url_that_cannot_be_read_is_one_line_without_the_password(command: tuple[str, ...], url: str) -> None:
    settings = {"STORE_WORKER_DATABASE_URL": url, "BROKER_URL": "amqp://127.0.0.1:1/"}
    said = typed("store-worker", *command, settings=settings)

    assert said.exit_code == (1 if command == ("check",) else 2)
    assert said.stderr.splitlines()[0].removeprefix("Error: ") == "STORE_WORKER_DATABASE_URL: not a PostgreSQL URL"
    assert "secret" not in said.stderr


@pytest.mark.parametrize("command", [("migrate",), ("check",), ("parked", "list")], ids=lambda command: command[0])
def test_whatever_cannot_reach_its_database_says_where_it_looked(command: tuple[str, ...]) -> None:
    said = typed("store-worker", *command, settings={"BROKER_URL": "amqp://127.0.0.1:1/"})

    (line,) = [line for line in said.stderr.splitlines() if "STORE_WORKER_DATABASE_URL: " in line]
    assert line.endswith(" (127.0.0.1:1/nowhere)")
    assert "secret" not in said.stderr
