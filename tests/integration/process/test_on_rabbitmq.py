"""The toy on a real RabbitMQ: a plain client is answered, and no outage loses a document."""

import asyncio
import json
from collections.abc import Mapping, Sequence

import aio_pika
from structlog.testing import capture_logs

from messages.transport.document import Reader
from messages.transport.incoming import Incoming
from messages.transport.rabbitmq.broker import RabbitBroker
from messages.transport.rabbitmq.topology import declare
from tests.integration.network import Network
from tests.integration.process.clients import Client
from tests.integration.process.daemons import QUICK_RELAY, daemon
from tests.integration.toy.service import FAIL, TELL_ELSEWHERE, Counted, Toy, bought
from tests.integration.toy.station import Station, everything
from tests.integration.toy.waiting import until


async def test_a_plain_client_is_answered_with_one_document_and_its_properties(
    station: Station, client: Client
) -> None:
    message = bought("a", TELL_ELSEWHERE)
    patient = RabbitBroker(client.url, publish_timeout_seconds=60.0)  # says nothing twice
    async with station.running(patient, drain_seconds=60.0):
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


async def test_new_work_that_is_not_taken_stays_in_its_queue_until_it_is(station: Station, client: Client) -> None:
    await client.say(bought("a"))
    station.toy.takes_new_work = False
    async with station.running(RabbitBroker(client.url)) as running:
        await running.ready()
        assert await client.left_in("toy.bought") == 1
    station.toy.takes_new_work = True
    async with station.running(RabbitBroker(client.url)):
        await client.until_heard({"a"})


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


async def test_a_daemon_that_expects_its_topology_declares_none_of_it_and_waits(
    station: Station, client: Client
) -> None:
    for queue in ("toy.bought", "toy.paid", "toy.dead"):
        await client.channel.queue_delete(queue)
    async with daemon(station, client, topology="expect") as process:
        assert process.stderr
        missed: set[str] = set()
        while not missed >= {"toy.bought", "toy.paid", "toy.dead"}:
            line = json.loads(await asyncio.wait_for(process.stderr.readline(), 60))
            missed |= {line["queue"]} if line["event"] == "cannot consume" else set()
        async with await aio_pika.connect(client.url) as connection:
            await declare(connection, everything(Toy()))
        await client.say(bought("a"))
        await client.until_heard({"a"})


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


async def _has_missed(logs: Sequence[Mapping[str, object]], queues: set[str]) -> bool:
    return {line["queue"] for line in logs if line["event"] == "cannot consume"} == queues
