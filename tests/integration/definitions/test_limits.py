"""What the production definitions let clients take of a real RabbitMQ, and what one may make another believe."""

import asyncio
import json
import os
import sys
import uuid
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError, ChannelClosed
from pamqp.common import FieldTable

from deploy.limits import CLIENT_LIMITS, MAX_QUEUES, QUEUE_BYTES
from messages.transport.addresses import COMMANDS, OUTCOMES, Address
from tests.integration.broker.carriers import Reader, envelope, eventually
from tests.integration.definitions.production import UrlOf, broker_at, channel_at, imported, in_the_file, url_for
from tests.servers.management import Management

pytestmark = pytest.mark.rabbitmq

ROOT = Path(__file__).parents[3]
GREEDY: dict[str, FieldTable] = {
    "classic": {"x-expires": 10**9, "x-max-length": 10**9, "x-max-length-bytes": 10**12},
    "quorum": {"x-expires": 10**9, "x-max-length": 10**9, "x-max-length-bytes": 10**12},
    "stream": {"x-max-age": "7D", "x-max-length-bytes": 10**12, "x-stream-max-segment-size-bytes": 10**9},
}
ABSENT = {"expires": 600_000, "max-length": 100_000, "max-length-bytes": 200_000_000, "overflow": "drop-head"}
BOUNDED = {
    "classic": ABSENT,
    "quorum": ABSENT,
    "stream": {"max-age": "1h", "max-length-bytes": 100_000_000, "stream-max-segment-size-bytes": 20_000_000},
}
ORDER = {"customer_id": "c", "store_id": "s", "zone": "z"} | {
    "lines": [{"sku": "milk", "quantity": 1, "price_cents": 1}]
}


async def test_a_queue_of_any_type_that_a_client_makes_has_bounds(url_of: UrlOf, management_url: str) -> None:
    customer = url_of("customer")
    async with channel_at(customer) as channel:
        for kind, arguments in GREEDY.items():
            name = f"outcomes.customer.{kind}"
            await channel.declare_queue(name, durable=True, arguments={"x-queue-type": kind, **arguments})

    async def bounds() -> dict[str, Any]:
        queues = await Management(management_url).queues(_vhost(customer))
        return {
            queue["name"].removeprefix("outcomes.customer."): queue.get("effective_policy_definition")
            for queue in queues
            if queue["name"].startswith("outcomes.")
        }

    async def all_bounded() -> bool:
        return await bounds() == BOUNDED

    await eventually(all_bounded)  # the management plugin tells of it some time later


async def test_a_stream_drops_what_is_beyond_its_bounds_whatever_its_client_asked_for(
    amqp_url: str, management_url: str
) -> None:
    definitions = in_the_file()
    small = {"max-length-bytes": 2_000_000, "stream-max-segment-size-bytes": 1_000_000}
    _policy(definitions, "streams of clients")["definition"] |= small
    async with imported(definitions, management_url) as unique:
        customer = url_for("customer", amqp_url, unique)
        async with channel_at(customer) as channel:
            arguments: FieldTable = {"x-queue-type": "stream", **GREEDY["stream"]}
            queue = await channel.declare_queue("outcomes.customer.stream", durable=True, arguments=arguments)
            own = await channel.declare_exchange("outcomes.customer.own", "fanout", durable=True)
            await queue.bind(own)
            for _ in range(10):
                await own.publish(aio_pika.Message(b"x" * 1_000_000), "")

            async def few_are_left() -> bool:
                asked = await channel.declare_queue("outcomes.customer.stream", passive=True)
                return (asked.declaration_result.message_count or 0) <= 4

            await eventually(few_are_left)


async def test_the_file_sets_limits_for_clients_and_for_the_virtual_host(url_of: UrlOf, management_url: str) -> None:
    management = Management(management_url)
    for user in ("customer", "supplier", "fleet"):
        (set_for_it,) = await management.call("GET", f"user-limits/{urlsplit(url_of(user)).username}")
        assert set_for_it["value"] == CLIENT_LIMITS
    (set_for_all,) = await management.call("GET", f"vhost-limits/{_vhost(url_of('customer'))}")
    assert set_for_all["value"] == {"max-queues": MAX_QUEUES}


async def test_a_client_is_refused_what_is_beyond_its_limits(amqp_url: str, management_url: str) -> None:
    definitions = in_the_file()
    for user in definitions["users"]:
        if "limits" in user:
            user["limits"] = {"max-connections": 1, "max-channels": 2}
    definitions["parameters"][0]["value"]["max-queues"] = len(definitions["queues"]) + 1
    async with imported(definitions, management_url) as unique:
        customer, saga = (url_for(user, amqp_url, unique) for user in ("customer", "order_saga"))
        async with await aio_pika.connect(customer) as connection:
            channel, _ = await connection.channel(), await connection.channel()
            await eventually(partial(_is_refused, customer))
            await channel.declare_queue("outcomes.customer.1", durable=True)
            with pytest.raises(ChannelClosed, match="queue limit"):
                await channel.declare_queue("outcomes.customer.2", durable=True)
            with pytest.raises(AMQPError):  # the refusal closed one of two, and RabbitMQ counts behind
                await _open_channels(connection, 100)
        async with channel_at(saga), channel_at(saga):
            """No service has any."""


async def test_a_service_s_queue_that_has_its_bytes_refuses_and_loses_nothing(
    amqp_url: str, management_url: str
) -> None:
    definitions = in_the_file()
    bound = _policy(definitions, "queues of services")["definition"]
    assert bound == {"max-length-bytes": QUEUE_BYTES}
    bound["max-length-bytes"] = 10_000
    async with imported(definitions, management_url) as unique:
        saga, store = (url_for(user, amqp_url, unique) for user in ("order_saga", "store_worker"))
        async with broker_at(saga) as speaker, broker_at(store) as listener:
            said = [envelope(str(number) * 4_000, Address(COMMANDS, "store_worker.settle")) for number in range(9)]
            confirmed = [(await speaker.publish([each]))[0] for each in said]
            assert False in confirmed
            kept = [each.body for each, done in zip(said, confirmed, strict=True) if done]
            reader = await Reader.of(listener, "store_worker.settle")
            assert [arrival.body for arrival in await reader.take(len(kept))] == kept


async def test_what_another_holder_of_the_account_forges_is_told_and_not_taken_for_an_outcome(
    url_of: UrlOf, management_url: str
) -> None:
    """He may publish into the queue, through an exchange of his own."""
    customer, order_id = url_of("customer"), str(uuid.uuid4())
    placing = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "order_saga", "place", "--json", "-",
        env={**os.environ, "CLIENT_BROKER_URL": customer}, cwd=ROOT, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    talking = asyncio.create_task(placing.communicate(json.dumps(ORDER | {"order_id": order_id}).encode()))
    async with channel_at(customer) as channel, broker_at(url_of("order_saga")) as saga:
        await (await Reader.of(saga, "order_saga.orders")).take(1)  # what is heard before is about no order of theirs
        await _forge(channel, await _queue_of_place(management_url, customer), order_id)
        true = _document("OrderNotPlaced", order_id=order_id, reason="cancelled")
        assert await saga.publish([envelope(true, Address(OUTCOMES, "order_not_placed"))]) == [True]
        out, told = await talking
    assert (placing.returncode, json.loads(out)["outcome"]) == (1, "not_placed")
    assert told.count(b"forged") == 1


async def _is_refused(url: str) -> bool:
    try:
        connection = await aio_pika.connect(url)
    except AMQPError:
        return True
    await connection.close()
    return False


async def _open_channels(connection: AbstractConnection, number: int) -> None:
    for _ in range(number):
        await connection.channel()


async def _forge(channel: AbstractChannel, queue: str, order_id: str) -> None:
    own = await channel.declare_exchange("outcomes.customer.evil", "fanout", durable=True)
    await (await channel.get_queue(queue, ensure=False)).bind(own)
    for _ in range(2):
        forged = _document("OrderPlaced", order_id=order_id, packet_ids=["p"], agent_id="a")
        await own.publish(aio_pika.Message(forged.encode()), "order_placed")


def _document(name: str, **content: Any) -> str:
    return json.dumps({"type": f"{name}/1.0", "message_id": str(uuid.uuid4()), **content})


async def _queue_of_place(management_url: str, url: str) -> str:
    found: list[str] = []

    async def is_there() -> bool:
        queues = await Management(management_url).queues(_vhost(url))
        found[:] = [queue["name"] for queue in queues if queue["name"].startswith("outcomes.customer.")]
        return bool(found)

    await eventually(is_there)
    return found[0]


def _policy(definitions: Any, name: str) -> Any:
    return next(policy for policy in definitions["policies"] if policy["name"] == name)


def _vhost(url: str) -> str:
    return unquote(urlsplit(url).path[1:])
