"""Whoever has agents come says when: `delivery-worker agents add`, and the demo."""

from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from delivery_worker import commands
from deploy.demo.catalogue import Catalogue
from messages.contracts.delivery import AgentCameOnline
from messages.transport.edge.requests import Request


def times(requests: list[Request]) -> list[datetime | None]:
    return [request.message.at for request in requests if isinstance(request.message, AgentCameOnline)]


def test_agents_are_added_as_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Request] = []

    def keep(_service: str, _command: str, requests: list[Request]) -> None:
        said.extend(requests)

    monkeypatch.setattr(commands, "publish", keep)
    before = datetime.now(UTC)

    result = CliRunner().invoke(commands.agents_group, ["add", "north", "A-1", "A-2"])

    assert (result.exit_code, result.output) == (0, "2 published\n")
    assert len(times(said)) == 2
    assert all(at is not None and before <= at <= datetime.now(UTC) for at in times(said))


def test_the_demo_s_agents_come_as_of_now() -> None:
    before = datetime.now(UTC)

    came = times(list(Catalogue.read().requests()))

    assert came
    assert all(at is not None and before <= at <= datetime.now(UTC) for at in came)
