"""What an operator, an accident or a malicious program can do to a broker, in plain AMQP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple, Self

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from tests.end_to_end.cell import QUEUES
from tests.end_to_end.waiting import until

ECHO = "x-echo"
BINDINGS = (
    ("requests", "#"),
    ("outcomes", "#"),
    ("answers", "order_saga.answers"),
    *(("commands", queue) for queue in QUEUES if not queue.startswith("order_saga")),
)


class Spoken(NamedTuple):
    """An AMQP message that went through an exchange."""

    exchange: str
    key: str
    body: bytes
    content_type: str

    def documents(self) -> "list[Spoken]":
        """The documents of an envelope, each as a message of its own."""
        return [self._replace(body=line, content_type="application/json") for line in self.body.splitlines()]


class Wire:
    """A connection to the cell's virtual host."""

    def __init__(self, connection: aio_pika.abc.AbstractConnection, channel: aio_pika.abc.AbstractChannel) -> None:
        self._connection = connection
        self._channel = channel
        self.tapped: list[Spoken] = []
        self.echoes = 0
        """How many of those have been heard once more."""

    async def publish(self, spoken: Spoken) -> None:
        exchange = await self._channel.get_exchange(spoken.exchange, ensure=False)
        message = aio_pika.Message(spoken.body, content_type=spoken.content_type, delivery_mode=2, headers={ECHO: True})
        await exchange.publish(message, spoken.key)

    async def tap(self, *, echo: bool = False) -> Self:
        """From now on, keep a copy of everything that is said; with `echo`, also say it once more."""

        async def hear(message: AbstractIncomingMessage) -> None:
            spoken = Spoken(message.exchange or "", message.routing_key or "", message.body, message.content_type or "")
            if ECHO in message.headers:
                self.echoes += 1
            else:
                self.tapped.append(spoken)
                if echo:
                    await self.publish(spoken)

        queue = await self._channel.declare_queue(exclusive=True, arguments={"x-queue-type": "classic"})
        for exchange, key in BINDINGS:
            await queue.bind(exchange, key)
        await queue.consume(hear, no_ack=True)
        return self

    async def purge(self, queue: str) -> int:
        """Throw away what waits in a queue. Return how many AMQP messages that were."""
        found = await self._channel.get_queue(queue, ensure=False)
        return (await found.purge()).message_count or 0

    async def waiting(self, queue: str) -> int:
        declared = await self._channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0

    async def until_waiting(self, queue: str) -> None:
        await until(lambda: self.waiting(queue), f"something waits in {queue}")

    async def delete(self, queue: str) -> int:
        return (await self._channel.queue_delete(queue)).message_count or 0

    async def take_and_vanish(self, queue: str) -> bool:
        """Be a consumer that dies of the next message. Return whether there was one."""
        channel = await self._connection.channel()
        message = await (await channel.get_queue(queue, ensure=False)).get(fail=False)
        await channel.close()
        return message is not None


@asynccontextmanager
async def wire(broker_url: str) -> AsyncIterator[Wire]:
    async with await aio_pika.connect(broker_url) as connection:
        yield Wire(connection, await connection.channel())
