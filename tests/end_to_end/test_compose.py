"""`docker compose -f deploy/compose.yaml up --wait`, and an order placed from the host."""

import asyncio
import json
import os
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from deploy.definitions import all_services
from messages.transport.topology import topology_of
from tests.end_to_end.client import Client
from tests.end_to_end.market import Market
from tests.end_to_end.waiting import until
from tests.servers.choice import REQUIRE_DOCKER
from tests.servers.server import free_port

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800)]

DEPLOY = Path(__file__).parents[2] / "deploy"
FILE = DEPLOY / "compose.yaml"
DAEMONS = ("order-saga", "store-worker", "delivery-worker")
PORTS = (
    "AMQP_PORT",
    "MANAGEMENT_PORT",
    "POSTGRES_PORT",
    "HTTP_PORT_ORDER_SAGA",
    "HTTP_PORT_STORE_WORKER",
    "HTTP_PORT_DELIVERY_WORKER",
)

PATIENT = "ORDER_SAGA_BUDGET_SECONDS=120\nORDER_SAGA_LEASE_SECONDS=150\n"
"""No order is to be given up because all is slow."""


class Failed(Exception):
    """A command ended with something else than 0; says what it printed."""


class Compose:
    """The project under a name and on ports of its own, with an image of its own."""

    def __init__(self, settings: Path) -> None:
        self._project = f"order-saga-test-{uuid.uuid4().hex[:8]}"
        self._image = f"{self._project}:test"
        self._ports = {name: str(free_port()) for name in PORTS}
        self._settings = settings

    def amqp_url(self, user: str) -> str:
        return f"amqp://{user}:development@127.0.0.1:{self._ports['AMQP_PORT']}/saga"

    async def remove(self) -> None:
        await self("down", "--volumes", "--remove-orphans", "--timeout", "5")
        await self._run("docker", "image", "rm", "--force", self._image)

    async def inside(self, service: str, *command: str) -> str:
        return await self("exec", "--no-TTY", service, *command)

    async def described(self, service: str) -> dict[str, Any]:
        """The container as Docker describes it."""
        container = (await self("ps", "--all", "--quiet", service)).strip()
        described: dict[str, Any] = json.loads(await self._run("docker", "inspect", container))[0]
        return described

    async def __call__(self, *command: str) -> str:
        """What docker compose prints. Raises Failed."""
        return await self._run("docker", "compose", "--project-name", self._project, "--file", str(FILE), *command)

    async def _run(self, *command: str) -> str:
        environment = {**os.environ, **self._ports, "SAGA_IMAGE": self._image, "DAEMONS_ENV": str(self._settings)}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe)
        said, complained = await process.communicate()
        if process.returncode:
            raise Failed(f"{' '.join(command)}: {process.returncode}\n{complained.decode()[-4_000:]}")
        return said.decode()


@pytest.fixture(scope="module")
async def compose(
    docker: None,  # noqa: ARG001  skips where there is no engine
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Compose]:
    settings = tmp_path_factory.mktemp("compose") / "daemons.env"
    settings.write_text(PATIENT)
    compose = Compose(settings)
    try:
        await compose("version")
    except Failed:
        (pytest.fail if REQUIRE_DOCKER else pytest.skip)("docker compose is not installed")
    try:
        try:
            await compose("up", "--wait", "--quiet-pull")
        except Failed as error:
            raise Failed(f"{error}\n{await compose('logs', '--tail', '30')}") from None
        yield compose
    finally:
        await compose.remove()


async def test_an_order_placed_from_the_host_in_plain_amqp_is_answered(compose: Compose) -> None:
    market = Market.of(agents=1, packets={"milk": 2})
    async with (
        Client(compose.amqp_url("customer")) as customer,
        Client(compose.amqp_url("supplier")) as supplier,
        Client(compose.amqp_url("fleet")) as fleet,
    ):
        for document in market.stocking():
            await (fleet if document["type"].startswith("Agent") else supplier).say(document)
        placed = await customer.place(market.order(milk=2))
        assert placed["type"] == "OrderPlaced"
        assert sorted(placed["packet_ids"]) == sorted(market.packet_ids)
        assert placed["agent_id"] in market.agents
        refused = await customer.place(market.order(milk=1))
        assert refused["type"] == "OrderNotPlaced"
    await compose.inside("order-saga", "order-saga", "audit")


@pytest.mark.parametrize("daemon", DAEMONS)
async def test_a_daemon_proves_its_broker_and_database(compose: Compose, daemon: str) -> None:
    await compose.inside(daemon, daemon, "check")


async def test_packets_and_agents_come_and_orders_are_placed_by_command_too(compose: Compose) -> None:
    await compose.inside("store-worker", "store-worker", "stock", "add", "store-1", "bread", "3")
    await compose.inside("delivery-worker", "delivery-worker", "agents", "add", "zone-1", "agent-1")
    order = {"customer_id": "c", "store_id": "store-1", "zone": "zone-1"}
    line = json.dumps(order | {"lines": [{"sku": "bread", "quantity": 1, "price_cents": 250}]})
    said = await compose.inside("order-saga", "sh", "-ec", f"echo '{line}' | order-saga place --json -")
    assert json.loads(said)["outcome"] == "placed"


SCRAPE = """
import urllib.request
for page in ("metrics", "metrics/detailed?family=queue_coarse_metrics&family=queue_consumer_count"):
    print(urllib.request.urlopen("http://rabbitmq:15692/" + page).read().decode())
"""


async def test_rabbitmq_serves_what_the_alerts_and_the_dashboard_ask_of_it(compose: Compose) -> None:
    missing: list[str] = []

    async def nothing_is_missing() -> bool:
        missing[:] = _missing(await compose.inside("order-saga", "python", "-c", SCRAPE))
        return not missing

    # RabbitMQ counts a queue's messages some seconds after the queue was made.
    with suppress(AssertionError):
        await until(nothing_is_missing, "all is served")
    assert missing == []


def _missing(page: str) -> list[str]:
    """The metrics that are asked for and not served, and those without some queue of ours."""
    asked = set(
        re.findall(r"\brabbitmq_\w+", (DEPLOY / "alerts.yaml").read_text() + (DEPLOY / "grafana.json").read_text())
    )
    ours = {queue.name for queue in topology_of(all_services()).queues}
    metrics = ("rabbitmq_detailed_queue_messages_ready", "rabbitmq_detailed_queue_consumers")
    return [*asked - set(re.findall(r"^(rabbitmq_\w+)", page, re.MULTILINE))] + [
        metric for metric in metrics if ours - set(re.findall(rf'^{metric}{{.*queue="(.+?)"', page, re.MULTILINE))
    ]


@pytest.mark.parametrize("daemon", DAEMONS)
async def test_a_daemon_is_confined(compose: Compose, daemon: str) -> None:
    assert (await compose.inside(daemon, "id", "-u")).strip() != "0"
    with pytest.raises(Failed, match="Read-only file system"):
        await compose.inside(daemon, "touch", "/home/saga/file")
    host = (await compose.described(daemon))["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert (host["Memory"], host["PidsLimit"]) == (512 << 20, 200)
    assert {port["HostIp"] for ports in host["PortBindings"].values() for port in ports} == {"127.0.0.1"}


async def test_rabbitmq_blocks_publishers_before_its_container_is_out_of_memory(compose: Compose) -> None:
    limit = (await compose.described("rabbitmq"))["HostConfig"]["Memory"]
    told = await compose.inside("rabbitmq", "rabbitmqctl", "--silent", "eval", "vm_memory_monitor:get_memory_limit().")
    assert int(told) == pytest.approx(0.6 * limit, rel=0.1)  # RabbitMQ counts a g as 1,000,000,000


async def test_a_daemon_that_is_stopped_drains_and_ends_well(compose: Compose) -> None:
    await compose("stop", *DAEMONS)
    for daemon in DAEMONS:
        assert (await compose.described(daemon))["State"]["ExitCode"] == 0
    await compose("up", "--wait", *DAEMONS)
