"""The toy as a daemon on real servers: a plain client is answered, and no signal and no outage loses a document."""

import asyncio
import json
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aio_pika
import pytest
from structlog.testing import capture_logs

from messages.transport.document import Reader
from messages.transport.incoming import Incoming
from messages.transport.rabbitmq.broker import RabbitBroker
from messages.transport.rabbitmq.topology import declare
from tests.conftest import NewVhost
from tests.integration.network import Network
from tests.integration.toy.service import FAIL, TELL_ELSEWHERE, Counted, Toy, Wish, bought, paid
from tests.integration.toy.station import Station, document, everything
from tests.integration.toy.waiting import until
from tests.servers.server import free_port

QUICK_RELAY: dict[str, Any] = {
    "publish_timeout_seconds": 1.0,
    "relay_after_seconds": 1.5,
    "relay_interval_seconds": 0.2,
}


@dataclass
class Client:
    """Plain AMQP: publishes requests and hears outcomes, and uses none of the transport."""

    url: str
    channel: aio_pika.abc.AbstractChannel
    heard: list[aio_pika.abc.AbstractIncomingMessage] = field(default_factory=list)

    async def say(self, *messages: Wish) -> None:
        exchange = await self.channel.get_exchange("requests", ensure=False)
        for message in messages:
            said = aio_pika.Message(document(message), delivery_mode=2)
            await exchange.publish(said, routing_key=message.routing_key())

    @property
    def texts(self) -> set[str]:
        return {str(json.loads(message.body).get("text")) for message in self.heard}

    async def left_in(self, queue: str) -> int:
        declared = await self.channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0

    async def until_left_in(self, queue: str, number: int) -> None:
        async def so() -> bool:
            return await self.left_in(queue) == number

        await until(so)

    async def until_heard(self, texts: set[str]) -> None:
        async def so() -> bool:
            return self.texts >= texts

        await until(so)


@pytest.fixture
async def client(new_vhost: NewVhost) -> AsyncIterator[Client]:
    url = await new_vhost()
    async with await aio_pika.connect(url) as connection:
        await declare(connection, everything(Toy()))
        client = Client(url, await connection.channel())

        async def hear(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            client.heard.append(message)

        queue = await client.channel.get_queue("outcomes.client", ensure=False)
        await queue.consume(hear, no_ack=True)
        yield client


@asynccontextmanager
async def daemon(station: Station, client: Client, **settings: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    values = {"database_url": station.url, "broker_url": client.url, "log_format": "json"} | settings
    environment = {f"TOY_{name.upper()}": str(value) for name, value in values.items()}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.toy", "run"),
        env=os.environ | environment,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def told(process: asyncio.subprocess.Process) -> list[dict[str, Any]]:
    """Its log, once it has ended."""
    assert process.stderr is not None
    return [json.loads(line) for line in (await process.stderr.read()).splitlines()]


async def test_a_plain_client_is_answered_with_one_document_and_its_properties(
    station: Station, client: Client
) -> None:
    message = bought("a", TELL_ELSEWHERE)
    async with station.running(RabbitBroker(client.url)):
        await client.say(message)
        await client.until_heard({"a"})
    (outcome,) = client.heard
    read = Reader([Counted]).read(outcome.body)
    assert isinstance(read, Incoming)
    assert read.message == Counted(order_id=message.order_id, text="a")
    assert (outcome.routing_key, outcome.content_type, outcome.type) == ("counted", "application/json", "Counted/1.0")
    assert (outcome.message_id, outcome.correlation_id) == (str(read.message_id), str(message.order_id))
    assert outcome.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert await client.left_in("elsewhere") == 1


async def test_a_broker_that_is_down_at_the_start_is_waited_for(station: Station, client: Client) -> None:
    await client.say(bought("a"))
    network = Network(client.url)
    await network.plug_in()
    await network.unplug()
    async with station.running(RabbitBroker(network.url)) as running:

        async def database_is_ready() -> bool:
            checks = running.process._checks()
            return checks["migrations"] and checks["postgresql"] and not checks["broker"]

        async def broker_is_missed() -> bool:
            labels = {"server": "broker"}
            return running.process.metrics.registry.get_sample_value("ordersaga_connected", labels) == 0

        await until(database_is_ready)
        await until(broker_is_missed)
        await network.plug_in()
        await client.until_heard({"a"})
        await running.ready()
    await network.unplug()


async def test_queues_that_are_missing_at_the_start_are_waited_for(station: Station, client: Client) -> None:
    for queue in ("toy.bought", "toy.paid", "toy.dead"):
        await client.channel.queue_delete(queue)
    with capture_logs() as logs:
        async with station.running(RabbitBroker(client.url)) as running:
            await until(lambda: _has_missed(logs, {"toy.bought", "toy.paid", "toy.dead"}))
            assert not running.process._checks()["broker"]
            async with await aio_pika.connect(client.url) as connection:
                await declare(connection, everything(Toy()))
            await running.ready()
            await client.say(bought("a"))
            await client.until_heard({"a"})


async def _has_missed(logs: Sequence[Mapping[str, object]], queues: set[str]) -> bool:
    return {line["queue"] for line in logs if line["event"] == "cannot consume"} == queues


async def test_a_network_that_flickers_under_load_loses_nothing(station: Station, client: Client) -> None:
    texts = {str(number) for number in range(200)}
    async with (
        Network(client.url) as network,
        station.running(RabbitBroker(network.url), batch_documents=20, **QUICK_RELAY) as running,
    ):
        await running.ready()
        for number in range(200):
            await client.say(bought(str(number), FAIL if number == 77 else TELL_ELSEWHERE))
            if number % 50 == 20:
                network.flicker()
        await client.until_heard(texts - {"77"})
        await station.until_count("parked", 1)
        await station.until_count("outbox", 0)
    assert set(await station.heard()) == texts - {"77"}
    assert await client.left_in("toy.bought") == 0


async def test_servers_that_fall_silent_do_not_keep_a_process_from_stopping_in_time(
    station: Station, client: Client
) -> None:
    async with Network(client.url) as broker_network, Network(station.url) as database_network:
        settings = {"database_url": database_network.url, "drain_seconds": 1.0}
        async with station.running(RabbitBroker(broker_network.url), **settings) as running:
            await running.ready()
            await client.say(bought("a"))
            await client.until_heard({"a"})
            for network in (broker_network, database_network):
                network.freeze()
            running.stop.set()
            await asyncio.wait_for(running.task, 15)
            for network in (broker_network, database_network):
                network.thaw()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_daemon_that_is_told_to_stop_finishes_and_exits_with_zero(
    station: Station, client: Client, number: signal.Signals
) -> None:
    port = free_port()
    async with daemon(station, client, http_port=port) as process:
        await client.say(*(bought(str(each)) for each in range(100)))
        await client.until_heard({"0"})
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), 10) == 0
        log = await told(process)
    assert [line["event"] for line in log][-2:] == ["draining", "stopped"]
    assert {line["service"] for line in log} == {"toy"}
    assert await station.count("outbox") == 0
    handled = set(await station.heard())
    await client.until_heard(handled)
    assert client.texts == handled
    await client.until_left_in("toy.bought", 100 - len(handled))


async def test_a_daemon_killed_at_any_moment_loses_nothing(station: Station, client: Client) -> None:
    texts = {str(number) for number in range(300)}
    for number in range(3):
        before = await station.count("heard")
        some = (bought(text, TELL_ELSEWHERE) for text in sorted(texts)[number::3])
        saying = asyncio.create_task(client.say(*some))
        async with daemon(station, client, batch_documents=10, **QUICK_RELAY) as process:
            await station.until(lambda: _more_than(station, before))  # noqa: B023  awaited within the round
            await asyncio.sleep(random.uniform(0, 0.1))
            process.kill()
        await saying
    await client.say(paid("last"))
    async with station.running(RabbitBroker(client.url), **QUICK_RELAY):
        await client.until_heard(texts | {"last"})
        await station.until_count("outbox", 0)
    assert set(await station.heard()) == texts | {"last"}
    assert await station.parked() == []


async def _more_than(station: Station, number: int) -> bool:
    return await station.count("heard") > number


async def test_a_daemon_whose_migration_was_changed_says_so_in_one_line(own_station: Station, client: Client) -> None:
    await own_station.rows("UPDATE schema_migrations SET checksum = 'other' WHERE name LIKE 'tests.%'")
    async with daemon(own_station, client) as process:
        assert await asyncio.wait_for(process.wait(), 10) == 1
        line = await last_line(process)
    changed = "tests.integration.toy/0001_create_purchase.sql was changed after it had been applied"
    assert line == f"Error: TOY_DATABASE_URL: {changed}"


async def test_a_port_that_is_taken_is_one_line_that_names_the_setting(station: Station, client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with daemon(station, client, http_port=taken.getsockname()[1]) as process:
            assert await asyncio.wait_for(process.wait(), 10) == 2
            line = await last_line(process)
    assert line.startswith("Error: TOY_HTTP_PORT: ")


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "no-such-host.invalid", "no..host"])
async def test_a_host_that_is_not_this_one_is_one_line_that_names_the_setting(
    station: Station, client: Client, host: str
) -> None:
    async with daemon(station, client, http_host=host, http_port=free_port()) as process:
        assert await asyncio.wait_for(process.wait(), 10) == 2
        line = await last_line(process)
    assert line.startswith("Error: TOY_HTTP_HOST: ")


async def last_line(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    lines = (await process.stderr.read()).decode().splitlines()
    assert not any("Traceback" in line for line in lines)
    return lines[-1]
