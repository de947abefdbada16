"""`order-saga place` where the broker is not there, falls silent or is lost, or nobody answers."""

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import Set as AbstractSet
from urllib.parse import quote, urlsplit

import pytest

from deploy.definitions import all_services
from messages.contracts.order import CancelOrder
from messages.transport.edge.connection import listening, publish_until_confirmed
from messages.transport.edge.requests import new_request
from messages.transport.rabbitmq.broker import RabbitBroker
from messages.transport.topology import topology_of
from tests.integration.command_line.brokers import SilentShop, vhost
from tests.integration.command_line.shell import ROOT, Shell
from tests.integration.command_line.shops import a_shop, order, text
from tests.integration.network import Network
from tests.servers.management import Management

NOWHERE = "amqp://guest:guest@127.0.0.1:1/"
IMPATIENT = """
import runpy
from messages.transport.edge import connection
connection.CONNECT_SECONDS = 3.0
runpy.run_module("order_saga", run_name="__main__")
"""


async def test_a_broker_that_is_not_there_is_one_line(shell: Shell) -> None:
    results = await asyncio.gather(
        shell.type("order_saga", "place", "-", stdin=text([order("north")]), BROKER_URL=NOWHERE),
        shell.type("store_worker", "stock", "add", "north", "milk", "1", BROKER_URL=NOWHERE),
    )

    for result in results:
        assert (result.code, result.out) == (3, "")
        assert result.err == "Error: BROKER_URL: the broker cannot be reached at 127.0.0.1:1: Connection refused\n"


async def test_a_broker_that_falls_silent_leaves_requests_unanswered(shell: Shell, silent_shop: SilentShop) -> None:
    async with Network(silent_shop.url) as network:
        placing = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "order_saga", "place", "--timeout", "1", "-", cwd=ROOT,
            stdin=subprocess.PIPE, stderr=subprocess.PIPE, env={**shell.environment, "BROKER_URL": network.url},
        )  # fmt: skip
        assert placing.stdin
        assert placing.stderr
        placing.stdin.write(text([order("north")]).encode())
        await silent_shop.until_an_order_waits()
        network.freeze()
        placing.stdin.close()
        try:
            async with asyncio.timeout(60):
                told = await placing.stderr.read()
                assert await placing.wait() == 3
        finally:
            if placing.returncode is None:
                placing.kill()

    assert told.decode().startswith("1 unanswered in ")
    assert told.count(b"\n") == 1


async def test_a_virtual_host_that_is_not_there_is_one_line(shell: Shell, amqp_url: str) -> None:
    url = urlsplit(amqp_url)._replace(path="/nowhere").geturl()
    result = await shell.type("order_saga", "place", "-", stdin=text([order("north")]), BROKER_URL=url)

    assert (result.code, result.out) == (3, "")
    assert result.err == "Error: BROKER_URL: the virtual host does not exist, or this user may not access it\n"


async def test_a_system_that_was_never_started_is_one_line(shell: Shell, management_url: str, amqp_url: str) -> None:
    async with vhost(management_url) as name:
        empty = urlsplit(amqp_url)._replace(path=f"/{name}").geturl()
        placed = await shell.run("-c", IMPATIENT, "place", "-", stdin=text([order("north")]), BROKER_URL=empty)

    assert (placed.code, placed.out) == (3, "")
    assert placed.err.startswith("Error: BROKER_URL: cannot consume from `outcomes`")


async def test_what_nobody_answers_is_given_up(shell: Shell, management_url: str, amqp_url: str) -> None:
    async with vhost(management_url) as name:
        silent = urlsplit(amqp_url)._replace(path=f"/{name}").geturl()
        broker = RabbitBroker(silent, topology=topology_of(all_services()))
        await broker.start()
        await publish_until_confirmed(broker, [new_request(CancelOrder, order_id=uuid.uuid4())])
        await broker.close()
        placed = await shell.type(
            "order_saga", "place", "--json", "--timeout", "1", "-", stdin=text([order("north")]), BROKER_URL=silent
        )

    assert placed.code == 3, placed
    assert [each["outcome"] for each in placed.objects] == ["unanswered"]


async def test_the_queue_of_a_client_that_was_killed_is_gone_a_minute_later(
    shell: Shell, silent_shop: SilentShop, management_url: str
) -> None:
    placing = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "order_saga", "place", "-", cwd=ROOT,
        stdin=subprocess.PIPE, env={**shell.environment, "BROKER_URL": silent_shop.url},
    )  # fmt: skip
    assert placing.stdin
    placing.stdin.write(text([order("north")]).encode())
    await silent_shop.until_an_order_waits()
    queues = await Management(management_url).queues(urlsplit(silent_shop.url).path[1:])
    placing.kill()
    await placing.wait()

    assert [queue["arguments"] for queue in queues if queue["name"].startswith("outcomes.")] == [
        {"x-queue-type": "classic", "x-expires": 60_000}
    ]


async def test_who_has_listened_leaves_no_connection(silent_shop: SilentShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIENT_BROKER_URL", silent_shop.url)
    request = new_request(CancelOrder, order_id=uuid.uuid4())
    async with listening("test") as (broker, _):
        assert await broker.publish([request.envelope]) == [True]
    assert await broker.publish([request.envelope]) == [False]


async def test_a_lost_connection_is_survived(shell: Shell, management_url: str) -> None:
    shop = await a_shop(shell, packets=2, agents=2)
    placing = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "order_saga", "place", "--json", "-",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=shell.environment, cwd=ROOT,
    )  # fmt: skip
    assert placing.stdin
    assert placing.stdout
    closed: set[str] = set()
    for _ in range(2):
        placing.stdin.write(text([order(shop)]).encode())
        told = json.loads(await asyncio.wait_for(placing.stdout.readline(), 60))
        assert told["outcome"] == "placed"
        closed |= await close_connections(Management(management_url), shell.vhost, "place", closed)
    placing.stdin.close()

    assert await asyncio.wait_for(placing.wait(), 60) == 0


async def close_connections(
    management: Management, vhost_name: str, user_provided_name: str, closed: AbstractSet[str]
) -> set[str]:
    """Wait until the broker's statistics know them, and close all of them; they also know some that are `closed`."""
    async with asyncio.timeout(60):
        while True:
            known = await management.call("GET", f"vhosts/{quote(vhost_name, safe='')}/connections")
            named = [each for each in known if str(each.get("user_provided_name")).startswith(user_provided_name)]
            if mine := {each["name"] for each in named} - closed:
                break
            await asyncio.sleep(0.2)
    for name in mine:
        await management.call("DELETE", f"connections/{quote(name, safe='')}")
    return mine
