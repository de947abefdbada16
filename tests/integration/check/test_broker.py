"""A broker that cannot be reached, falls silent, or does not let us in is told in one sentence."""

import asyncio
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from messages.transport.command_line import broker_check
from messages.transport.rabbitmq import connection as rabbitmq_connection
from messages.transport.rabbitmq.topology import declare
from tests.integration.check.checked import SECRET, Checked
from tests.integration.network import Network
from tests.servers.management import Management


async def test_a_parameter_of_the_broker_s_url_that_cannot_be_read_is_told(checked: Checked) -> None:
    url = f"{checked.broker_url.replace('amqp://', 'amqps://')}?cadata=zz"
    assert await checked.problems(broker_url=url) == ["TOY_BROKER_URL: not an AMQP URL"]


async def test_a_broker_that_falls_silent_before_all_is_declared_is_told(
    checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Network(checked.broker_url) as network:

        async def declare_in_vain(*given: Any) -> None:
            network.freeze()
            await declare(*given)

        monkeypatch.setattr(broker_check, "declare", declare_in_vain)
        monkeypatch.setattr(rabbitmq_connection, "CALL_SECONDS", 0.5)
        told = "declaring the topology failed: TimeoutError"
        assert await checked.problems(broker_url=network.url, topology="declare") == [told]


@pytest.mark.parametrize("moment", ["before", "while"])
async def test_a_broker_that_goes_away_before_all_is_declared_is_told(
    checked: Checked, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    async with Network(checked.broker_url) as network:

        async def declare_in_vain(connection: Any, topology: Any) -> None:
            if moment == "before":
                await network.unplug()
                await asyncio.sleep(0.1)
            else:
                asyncio.get_running_loop().call_later(0.001, network.flicker)
            for _ in range(1_000):
                await declare(connection, topology)

        monkeypatch.setattr(broker_check, "declare", declare_in_vain)
        (problem,) = await checked.problems(broker_url=network.url, topology="declare")
        assert problem.startswith("declaring the topology failed: ")


@pytest.mark.parametrize(
    ("place", "told"),
    [
        pytest.param("127.0.0.1:1", "127.0.0.1:1: Connection refused", id="nobody there"),
        pytest.param("no-such-host.invalid", "no-such-host.invalid:5672: ", id="no such host"),
    ],
)
async def test_a_broker_that_cannot_be_reached_is_named_by_its_setting(checked: Checked, place: str, told: str) -> None:
    (problem,) = await checked.problems(broker_url=f"amqp://toy:{SECRET}@{place}/")
    assert problem.startswith(f"TOY_BROKER_URL: the broker cannot be reached at {told}")
    assert not any(outgoing in problem for outgoing in ("toy:", "Error", "()"))


async def test_a_broker_that_does_not_speak_tls_is_told_as_such(checked: Checked) -> None:
    (problem,) = await checked.problems(broker_url=checked.broker_url.replace("amqp://", "amqps://"))
    assert problem.startswith("TOY_BROKER_URL: TLS: ")


async def test_a_broker_that_refuses_the_user_or_lacks_the_vhost_is_named_by_its_setting(checked: Checked) -> None:
    parts = urlsplit(checked.broker_url)
    stranger = parts._replace(netloc=f"toy:{SECRET}@{parts.hostname}:{parts.port}").geturl()
    wrong_password = parts._replace(netloc=f"{parts.username}:{SECRET}@{parts.hostname}:{parts.port}").geturl()
    refused = "TOY_BROKER_URL: the broker refuses this user or password"
    for url, told in {
        stranger: refused,
        wrong_password: refused,
        checked.broker_url + "-not": "TOY_BROKER_URL: the virtual host does not exist, or this user may not access it",
    }.items():
        assert await checked.problems(broker_url=url) == [told]


async def test_a_limit_of_connections_that_is_reached_is_told_as_such(checked: Checked, management_url: str) -> None:
    limit = f"vhost-limits/{quote(urlsplit(checked.broker_url).path[1:], safe='')}/max-connections"
    await Management(management_url).call("PUT", limit, {"value": 0})
    try:
        (problem,) = await checked.problems(broker_url=checked.broker_url)
    finally:
        await Management(management_url).call("DELETE", limit)
    assert problem.startswith("TOY_BROKER_URL: the broker refuses one more connection")
