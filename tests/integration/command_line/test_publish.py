"""`publish` on a real broker: everything is confirmed, or the error says how much is not."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import pytest
from click.testing import CliRunner, Result

from messages.transport.broker import Envelope
from messages.transport.edge import connection, publishing
from messages.transport.edge.publishing import publish_command
from messages.transport.rabbitmq.broker import RabbitBroker
from messages.transport.rabbitmq.topology import declare
from messages.transport.topology import topology_of
from tests.conftest import NewVhost
from tests.integration.toy.service import Toy
from tests.servers.management import Management


@pytest.fixture(autouse=True)
def _logs_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "configure_logs", lambda *_: None)


@pytest.fixture
async def broker_url(new_vhost: NewVhost) -> str:
    url = await new_vhost()
    async with await aio_pika.connect(url) as connection:
        await declare(connection, topology_of([Toy().service()]))
    return url


async def said(file: Path, url: str) -> Result:
    command = publish_command("toy", Toy().handlers)
    environment = {"CLIENT_BROKER_URL": url}
    return await asyncio.to_thread(CliRunner().invoke, command, [str(file)], env=environment)


def told(result: Result) -> list[str]:
    """What the command prints; the log of this process goes the same way."""
    return [line for line in result.stdout.splitlines() if not line.startswith("[")]


async def heard(url: str, queue: str) -> list[str]:
    """The texts that wait there; they are taken."""
    texts = []
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        waiting = await channel.declare_queue(queue, passive=True)
        while message := await waiting.get(no_ack=True, fail=False):
            assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
            texts.append(json.loads(message.body)["text"])
    return texts


def lines(kind: str, texts: Iterable[str]) -> str:
    documents = ({"type": f"{kind}/1.0", "order_id": str(uuid4()), "text": text} for text in texts)
    return "".join(f"{json.dumps(document)}\n" for document in documents)


async def test_all_lines_of_a_file_are_in_their_queues_once_they_are_confirmed(
    broker_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PUBLISH_AT_ONCE", 10)
    texts = [str(number) for number in range(25)]
    file = tmp_path / "lost.jsonl"
    file.write_text(lines("Bought", texts) + "\n" + lines("Paid", ["paid"]))

    result = await said(file, broker_url)

    assert (result.exit_code, told(result)) == (0, ["26 published"]), result.output
    assert await heard(broker_url, "toy.bought") == texts
    assert await heard(broker_url, "toy.paid") == ["paid"]


async def test_nothing_of_a_file_with_a_wrong_line_is_said(broker_url: str, tmp_path: Path) -> None:
    file = tmp_path / "lost.jsonl"
    file.write_text(lines("Bought", "ab") + lines("Sold", "c"))

    result = await said(file, broker_url)

    assert (result.exit_code, told(result)) == (2, [])
    assert result.stderr.startswith(f"Error: {file}, line 3, is not a request: ")
    assert await heard(broker_url, "toy.bought") == []


async def test_what_no_queue_takes_is_counted(broker_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish = RabbitBroker.publish

    async def be_impatient_afterwards(broker: RabbitBroker, envelopes: Sequence[Envelope]) -> list[bool]:
        confirmed = await publish(broker, envelopes)
        if any(confirmed):
            monkeypatch.setattr(connection, "CONFIRM_SECONDS", 1.0)
        return confirmed

    monkeypatch.setattr(connection, "CONFIRM_SECONDS", 60.0)
    monkeypatch.setattr(RabbitBroker, "publish", be_impatient_afterwards)
    async with await aio_pika.connect(broker_url) as client:
        await (await client.channel()).queue_delete("toy.paid")
    file = tmp_path / "lost.jsonl"
    file.write_text(lines("Paid", "ab") + lines("Bought", "c"))

    result = await said(file, broker_url)

    assert (result.exit_code, told(result)) == (3, [])
    assert result.stderr.startswith("Error: CLIENT_BROKER_URL: 2 of 3 documents are not confirmed")
    assert await heard(broker_url, "toy.bought") == ["c"]


async def test_permission_is_named_where_a_user_may_not_publish(
    broker_url: str, management_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ refuses each of them by closing the channel, as it does after an upgrade that takes a right away."""
    monkeypatch.setattr(connection, "CONFIRM_SECONDS", 1.0)
    management, parts, user = Management(management_url), urlsplit(broker_url), f"user-{uuid4().hex}"
    await management.call("PUT", f"users/{user}", {"password": "secret", "tags": ""})
    try:
        may_write = {"configure": "^$", "write": "^requests$", "read": "^$"}
        await management.call("PUT", f"permissions{parts.path}/{user}", may_write)
        only_paid = {"exchange": "requests", "write": "^paid$", "read": "^$"}
        await management.call("PUT", f"topic-permissions{parts.path}/{user}", only_paid)
        file = tmp_path / "lost.jsonl"
        file.write_text(lines("Bought", "a"))

        result = await said(file, parts._replace(netloc=f"{user}:secret@{parts.hostname}:{parts.port}").geturl())

        assert result.exit_code == 3
        assert "check that this user may publish them" in result.stderr
    finally:
        await management.call("DELETE", f"users/{user}")
