"""What cannot be read from the management API is told, unless it can be done without."""

import asyncio
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from messages.transport.rabbitmq.management import Management as Reading
from tests.integration.check.checked import SECRET, Checked
from tests.servers.server import free_port


async def test_queues_cannot_be_proven_without_the_management_api(checked: Checked) -> None:
    (problem,) = await checked.problems(management_url=None)
    assert problem.startswith("TOY_MANAGEMENT_URL: ")


async def test_a_management_api_that_does_not_answer_as_one_is_named_by_its_setting(checked: Checked) -> None:
    parts, broker = urlsplit(checked.management_url), urlsplit(checked.broker_url)
    wrong = {
        "nobody there": parts._replace(netloc=f"toy:{SECRET}@127.0.0.1:{free_port()}"),
        "stranger": parts._replace(netloc=f"toy:{SECRET}@{parts.hostname}:{parts.port}"),
        "AMQP": parts._replace(netloc=f"toy:{SECRET}@{broker.hostname}:{broker.port}"),
    }
    for url in wrong.values():
        (problem,) = await checked.problems(management_url=url.geturl())
        assert problem.startswith("TOY_MANAGEMENT_URL: ")
        assert "urlopen" not in problem
        assert problem.endswith(f" ({url.hostname}:{url.port})")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"AMQP\0\0\x09\x01", r"BadStatusLine('AMQP\x00\x00\t\x01')"),
        (b"HTTP/1.0 200 OK\r\n\r\n<html>", "JSONDecodeError('Expecting value: line 1 column 1 (char 0)')"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\n[", "IncompleteRead(1 bytes read, 8 more expected)"),
    ],
)
async def test_what_answers_without_http_or_without_json_is_called_no_management_api(
    checked: Checked, answer: bytes, told: str
) -> None:
    async with await answering(answer) as server:
        host, port = server.sockets[0].getsockname()
        (problem,) = await checked.problems(management_url=f"http://toy:{SECRET}@{host}:{port}")
    assert problem == f"TOY_MANAGEMENT_URL: this is not RabbitMQ's HTTP API: {told} ({host}:{port})"


async def test_a_management_url_whose_host_cannot_exist_is_told(checked: Checked) -> None:
    (problem,) = await checked.problems(management_url=f"http://toy:{SECRET}@no..host:15672")
    assert problem.startswith("TOY_MANAGEMENT_URL: this is not RabbitMQ's HTTP API: Unicode")


async def answering(answer: bytes) -> asyncio.Server:
    """A server that answers every connection so, and closes it."""

    async def answer_it(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    return await asyncio.start_server(answer_it, "127.0.0.1")


async def test_a_user_who_may_not_look_at_nodes_can_check_all_the_same(own_vhost: Checked) -> None:
    user, vhost = f"user-{uuid4().hex}", own_vhost.vhost
    await own_vhost.manage("PUT", f"users/{user}", {"password": SECRET, "tags": "management"})
    try:
        await own_vhost.manage("PUT", f"permissions/{vhost}/{user}", {"configure": "", "write": "", "read": ""})
        parts = urlsplit(own_vhost.management_url)
        url = parts._replace(netloc=f"{user}:{SECRET}@{parts.hostname}:{parts.port}").geturl()
        assert await asyncio.to_thread(Reading(url, own_vhost.broker_url).nodes) is None
        assert await own_vhost.problems(management_url=url) == []
    finally:
        await own_vhost.manage("DELETE", f"users/{user}")
