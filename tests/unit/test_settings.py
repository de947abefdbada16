"""A wrong setting is one line that names the variable; secrets are never shown."""

import os
from typing import Annotated

import pytest
from pydantic import Field, ValidationError
from pydantic_settings import SettingsConfigDict

from messages.transport.settings import Settings, WrongSetting

SECRET = "hunter2"
DATABASE_URL = f"postgresql://toy:{SECRET}@db.example/toy"
CUT_SHORT = (f"{SECRET}/5", f"/{SECRET}", f"?{SECRET}", f"#{SECRET}")
"""Passwords that end, for whoever reads the URL, where its path begins, its query or its fragment."""
BROKER_URL = f"amqp://toy:{SECRET}@broker.example/"


class ToySettings(Settings):
    model_config = SettingsConfigDict(env_prefix="TOY_")

    spoons: Annotated[int, Field(ge=1, le=9)] = 3


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for variable in os.environ:
        if variable.upper().startswith("TOY_") or variable.lower() in Settings.SHARED:
            monkeypatch.delenv(variable)
    monkeypatch.setenv("TOY_DATABASE_URL", DATABASE_URL)
    return monkeypatch


def complaint() -> str:
    with pytest.raises(WrongSetting) as raised:
        ToySettings.read()
    return str(raised.value)


def test_only_the_database_has_to_be_named() -> None:
    settings = ToySettings.read()
    assert settings.database_url.get_secret_value() == DATABASE_URL
    assert (settings.spoons, settings.topology, settings.http_port) == (3, "declare", 0)


def test_what_is_missing_is_named(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("TOY_DATABASE_URL")
    assert complaint() == "TOY_DATABASE_URL: Field required"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", ""),
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "mysql://db.example/toy"),
        ("READER_URL", "db.example:5432"),
        ("BROKER_URL", "http://broker.example/"),
        ("BROKER_URL", "broker.example:5672"),
        ("BROKER_URL", "amqp://toy:x@broker.example:port/"),
        ("BROKER_URL", "amqp://toy:x@[broker.example/"),
        ("BROKER_URL", "amqp:///saga"),
        ("BROKER_URL", "amqp://toy:/x@broker.example/"),
        ("BROKER_URL", "amqps://broker.example/?cafile=/no/such.pem"),
        ("DATABASE_URL", "postgresql://toy:/x@db.example/toy"),
        ("DATABASE_URL", "postgresql://one,two:port/toy"),
        ("DATABASE_URL", "postgresql://db.example/toy?sslrootcert=/no/such.pem"),
        ("MANAGEMENT_URL", "amqp://broker.example/"),
        ("TOPOLOGY", "maybe"),
        ("BATCH_DOCUMENTS", "0"),
        ("BATCH_DOCUMENTS", "many"),
        ("BATCH_BYTES", "1"),
        ("NEW_WORK_PREFETCH", "2001"),
        ("PRIORITY_PREFETCH", "0"),
        ("PUBLISH_TIMEOUT_SECONDS", "0"),
        ("PUBLISH_TIMEOUT_SECONDS", "nan"),
        ("PUBLISH_TIMEOUT_SECONDS", "inf"),
        ("RELAY_AFTER_SECONDS", "-1"),
        ("RELAY_INTERVAL_SECONDS", "301"),
        ("UNCONFIRMED_ROWS", "0"),
        ("POOL_SIZE", "1"),
        ("DRAIN_SECONDS", "soon"),
        ("DRAIN_SECONDS", "61"),
        ("TIMELINE_DAYS", "0"),
        ("HTTP_PORT", "65536"),
        ("HTTP_PORT", ""),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("SPOONS", "10"),
    ],
)
def test_a_wrong_value_is_one_line_that_begins_with_the_variable(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environment.setenv(f"TOY_{name}", value)
    told = complaint()
    assert told.startswith(f"TOY_{name}: ")
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://db.example/toy", "must be a URL that begins with postgresql:// or postgres://"),
        ("postgresql://toy:/x@db.example/toy", "a / ? # or @ in its password must be written as %2F %3F %23 or %40"),
        ("postgresql://db.example:port/toy", "its port must be a number from 1 to 65535"),
        ("postgresql://one:5432,two:65536/toy", "its port must be a number from 1 to 65535"),
        ("postgresql://db.example:0/toy", "its port must be a number from 1 to 65535"),
    ],
)
def test_the_line_says_what_is_wrong_with_a_url(environment: pytest.MonkeyPatch, url: str, sentence: str) -> None:
    environment.setenv("TOY_DATABASE_URL", url)
    assert complaint() == f"TOY_DATABASE_URL: {sentence}"


@pytest.mark.parametrize(
    "url", ["postgres://db.example", "postgresql://toy@%2Frun%2Fpostgresql/toy", "postgresql://one:5432,two:5432/toy"]
)
def test_a_database_may_be_behind_a_socket_or_on_several_hosts(environment: pytest.MonkeyPatch, url: str) -> None:
    environment.setenv("TOY_DATABASE_URL", url)
    assert ToySettings.read().database_url.get_secret_value() == url


def test_an_unknown_variable_with_the_prefix_is_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TOY_LOG_LEVLE", "debug")
    assert complaint() == "TOY_LOG_LEVLE: there is no such setting"


def test_a_variable_that_only_some_would_read_is_refused(environment: pytest.MonkeyPatch) -> None:
    """Pydantic takes it in any case; commands that look into the environment themselves do not."""
    environment.setenv("toy_database_url", DATABASE_URL)
    assert complaint() == "toy_database_url: there is no such setting; settings are in capitals"


def test_the_variables_of_others_are_no_concern(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TOYS_LOG_LEVLE", "debug")
    environment.setenv("SPOONS", "77")
    assert ToySettings.read().spoons == 3


def test_what_is_shared_may_be_given_once_for_all_and_the_own_value_wins(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("BROKER_URL", BROKER_URL)
    environment.setenv("LOG_LEVEL", "error")
    environment.setenv("TOY_LOG_LEVEL", "debug")
    settings = ToySettings.read()
    assert settings.broker_url.get_secret_value() == BROKER_URL
    assert settings.log_level == "debug"


def test_a_wrong_shared_value_names_the_variable_it_was_given_in(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("LOG_LEVEL", "loud")
    assert complaint().startswith("LOG_LEVEL: ")
    environment.setenv("TOY_LOG_LEVEL", "louder")
    assert complaint().startswith("TOY_LOG_LEVEL: ")


def test_a_relay_waits_longer_than_a_publisher(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TOY_PUBLISH_TIMEOUT_SECONDS", "15")
    assert complaint().startswith("TOY_RELAY_AFTER_SECONDS: ")
    environment.setenv("TOY_RELAY_AFTER_SECONDS", "15.1")
    assert ToySettings.read().publish_timeout_seconds == 15


def test_secrets_are_neither_shown_nor_told_in_a_complaint(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TOY_BROKER_URL", BROKER_URL)
    environment.setenv("TOY_READER_URL", DATABASE_URL)
    environment.setenv("TOY_MANAGEMENT_URL", f"https://toy:{SECRET}@broker.example/")
    settings = ToySettings.read()
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    for wrong in (BROKER_URL.replace("amqp", "ftp"), *(f"amqp://toy:{cut}@mq/" for cut in CUT_SHORT)):
        environment.setenv("TOY_BROKER_URL", wrong)
        assert SECRET not in complaint()
    environment.setenv("TOY_BROKER_URL", BROKER_URL)
    environment.setenv("TOY_SPOONS", "10")
    assert SECRET not in complaint()


def test_a_secret_given_by_a_program_is_not_told_either() -> None:
    with pytest.raises(ValidationError) as raised:
        ToySettings(database_url=f"mysql://toy:{SECRET}@db.example/toy")
    assert SECRET not in f"{raised.value} {raised.value!r}"


def test_settings_do_not_change() -> None:
    settings = ToySettings.read()
    with pytest.raises(ValueError, match="frozen"):
        settings.spoons = 4  # type: ignore[misc]


def test_a_caller_may_override_what_the_environment_says(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TOY_SPOONS", "5")
    assert ToySettings.read(spoons=7).spoons == 7
