"""A client that uses none of the transport."""

import json
from dataclasses import dataclass, field

import aio_pika

from tests.integration.toy.service import Wish
from tests.integration.toy.station import document
from tests.integration.toy.waiting import until


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
