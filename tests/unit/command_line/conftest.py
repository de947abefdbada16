"""Commands run in the process of the tests."""

import pytest

import messages.transport.command_line.commands
import order_saga.client.commands
from messages.transport.edge import publishing


@pytest.fixture(autouse=True)
def _logs_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command says where its process writes its log; here that is the process of the tests."""
    for module in (messages.transport.command_line.commands, order_saga.client.commands, publishing):
        monkeypatch.setattr(module, "configure_logs", lambda *_: None)
