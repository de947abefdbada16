"""The customer in the README is told outcomes of a later minor version, and understands them."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import aio_pika
import pytest

from tests.conftest import NewVhost

README = Path(__file__).parents[3] / "README.md"
URL = "amqp://guest:guest@localhost/"


@pytest.mark.parametrize(
    ("outcome", "printed"),
    [
        ({"type": "OrderPlaced/1.7", "packet_ids": ["P-1"], "agent_id": "A-1", "later": 1}, "placed: ['P-1'] A-1\n"),
        ({"type": "OrderNotPlaced/1.7", "reason": "no_agent", "later": 1}, "OrderNotPlaced/1.7 no_agent\n"),
    ],
    ids=lambda each: each["type"] if isinstance(each, dict) else None,
)
async def test_a_customer_like_that_of_the_readme_reads_outcomes_of_a_later_minor_version(
    new_vhost: NewVhost, outcome: dict[str, object], printed: str
) -> None:
    url = await new_vhost()
    (program,) = re.findall(r"^```python\n(.+?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    assert URL in program
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        outcomes, requests = [
            await channel.declare_exchange(name, "topic", durable=True) for name in ("outcomes", "requests")
        ]
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(requests, "order_requested")
        printing = asyncio.create_task(_printed(program.replace(URL, url)))
        async with queue.iterator(no_ack=True, timeout=60) as asked:
            order_id = json.loads((await anext(asked)).body)["order_id"]
        body = json.dumps(outcome | {"order_id": order_id}).encode()
        await outcomes.publish(aio_pika.Message(body), "outcome")
        assert await printing == printed


async def _printed(program: str) -> str:
    """Errors too."""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr
