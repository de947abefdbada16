"""The example environments name every setting there is, with the default it has."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

import order_saga.settings
import store_worker.settings
from deploy.services import SERVICES
from messages.participant.settings import ParticipantSettings
from messages.transport.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
LINE = re.compile(r"^#?([A-Z_]+)=(.*)$", re.MULTILINE)
HAS_NO_DEFAULT = {"database_url", "reader_url", "management_url"}


def _written() -> dict[str, str]:
    return dict(LINE.findall((DEPLOY / "example.env").read_text()))


def _spelled(settings: type[Settings], name: str) -> str:
    """The transport's settings stand there once, the shared ones bare; what both workers have, as the store's."""
    if name in Settings.SHARED:
        return name.upper()
    is_worker = issubclass(settings, ParticipantSettings)
    if is_worker and name in ParticipantSettings.__annotations__:
        settings = store_worker.settings.Settings
    elif name in Settings.model_fields:
        settings = order_saga.settings.Settings
    return f"{settings.prefix()}{name.upper()}"


@pytest.mark.parametrize(
    "settings", [settings for settings, _ in SERVICES.values()], ids=lambda settings: settings.prefix()
)
def test_every_setting_is_written_down_with_its_default(settings: type[Settings]) -> None:
    written = _written()
    for name, field in settings.model_fields.items():
        told = written[_spelled(settings, name)]
        if name in HAS_NO_DEFAULT:
            continue
        default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
        assert type(default)(told) == default, name


def test_nothing_is_written_down_that_is_no_setting() -> None:
    known = {
        _spelled(settings, name)
        for settings in (order_saga.settings.Settings, store_worker.settings.Settings)
        for name in settings.model_fields
    }
    assert _written().keys() - known == {"CLIENT_BROKER_URL"}


def test_what_compose_can_be_told_is_written_down_with_its_default() -> None:
    written = dict(LINE.findall((DEPLOY / "compose.example.env").read_text()))
    used = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", (DEPLOY / "compose.yaml").read_text()))
    assert written == used
