"""`delivery-worker agents add` and the demo say since when agents are online. Who goes, goes now."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from click.testing import CliRunner

from delivery_worker import commands
from delivery_worker.published import Agent
from deploy.demo.catalogue import Catalogue
from messages.contracts.delivery import AgentCameOnline, AgentWentOffline
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


def test_whoever_goes_offline_is_gone_whatever_was_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a time: a phone whose clock is ahead, or words that are still under way, do not bring him back."""
    said: list[Request] = []
    monkeypatch.setattr(commands, "publish", lambda _service, _command, requests: said.extend(requests))

    result = CliRunner().invoke(commands.agents_group, ["offline", "A-1", "A-2"])

    assert (result.exit_code, result.output) == (0, "2 published\n")
    assert [request.message for request in said] == [AgentWentOffline(agent_id=name) for name in ("A-1", "A-2")]


@pytest.mark.parametrize("state", ["reserved", "assigned"])
def test_an_order_that_is_not_confirmed_is_not_completed(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    said: list[Request] = []
    monkeypatch.setattr(commands, "publish", lambda _service, _command, requests: said.extend(requests))
    order_id = uuid4()
    monkeypatch.setattr(commands, "ask", lambda *_: Agent("A-1", "north", state, order_id, online=True, since=None))

    told = CliRunner().invoke(commands.agents_group, ["completed", "A-1", str(order_id)], obj=lambda: None)

    assert (told.exit_code, said) == (1, [])
    assert told.stderr == f"Error: order {order_id} is not confirmed for A-1: see `agents list`\n"


def test_the_demo_s_agents_come_as_of_now() -> None:
    before = datetime.now(UTC)

    came = times(list(Catalogue.read().requests()))

    assert came
    assert all(at is not None and before <= at <= datetime.now(UTC) for at in came)
