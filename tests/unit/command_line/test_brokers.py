"""A broker that cannot be had is told in one line, by the variable that was read."""

import pytest

from tests.unit.command_line.programs import typed

SPEAKERS = pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("order-saga", ("place", "-")),
        ("order-saga", ("cancel", "9b2f0c1e-7d63-4c0a-9f0e-2f4a3b1c5d6e")),
        ("store-worker", ("stock", "add", "north", "milk", "1")),
        ("delivery-worker", ("agents", "add", "north", "A-1")),
        ("delivery-worker", ("agents", "offline", "A-1")),
    ],
)


@SPEAKERS
@pytest.mark.parametrize(
    "url",
    [
        "http://toy:secret@x",
        "broker",
        "amqp://",
        "amqp://toy:secret@x:port",
        "amqp://[x",
        "amqps://toy:secret@x/?cafile=/no/such.pem",
    ],
)
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
    ],
    ids=["nobody there", "nobody there either"],
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
