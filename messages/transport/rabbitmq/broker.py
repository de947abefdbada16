"""RabbitMQ behind the Broker protocol: one connection each for publishing, outcomes and consuming."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from messages.transport.broker import Envelope
from messages.transport.rabbitmq.connection import SupervisedConnection, cancellation_as_connection_error
from messages.transport.rabbitmq.fast_channel import FastChannel
from messages.transport.rabbitmq.publisher import RabbitPublisher
from messages.transport.rabbitmq.subscription import RabbitSubscription
from messages.transport.rabbitmq.topology import declare
from messages.transport.topology import Topology

for name in ("aiormq", "aio_pika"):
    # Their lines name the user; our own say what is worth knowing.
    logging.getLogger(name).setLevel(logging.CRITICAL)


class RabbitBroker:
    """Implements Broker. A given topology is declared before each use of a new channel.

    RabbitMQ fills the consumer of a queue with the highest `consumer_priority` to its prefetch, then the next; equal
    ones take turns.
    """

    def __init__(
        self,
        url: str,
        *,
        topology: Topology | None = None,
        publish_timeout_seconds: float = 5.0,
        connection_name: str = "order saga",
        consumer_priority: int = 0,
    ) -> None:
        self._topology = topology
        self._consumer_priority = consumer_priority
        # During an alarm the broker does not read a connection that publishes: acks must not be stuck in it.
        self._publishing = SupervisedConnection(url, f"{connection_name}: publishing")
        self._consuming = SupervisedConnection(url, f"{connection_name}: consuming")
        # A client's queue that takes nothing stops RabbitMQ from reading all that comes by the same connection: that of
        # outcomes carries nothing else. It is opened for the first of them, since workers and clients have none.
        self._outcomes = SupervisedConnection(url, f"{connection_name}: outcomes")
        self._needed, self._public = (
            RabbitPublisher(link, partial(self._channel, link, confirms=True), publish_timeout_seconds)
            for link in (self._publishing, self._outcomes)
        )
        self._subscriptions: list[RabbitSubscription] = []

    @property
    def connected(self) -> bool:
        usable = self._publishing.usable and self._consuming.usable
        return usable and all(subscription.settled for subscription in self._subscriptions)

    async def start(self) -> None:
        self._publishing.start()
        self._consuming.start()

    async def subscribe(self, queue: str, prefetch: int, on_arrival: Callable[[], None]) -> RabbitSubscription:
        subscription = RabbitSubscription(
            self._consuming,
            partial(self._channel, self._consuming, confirms=False),
            queue,
            prefetch,
            on_arrival,
            consumer_priority=self._consumer_priority,
        )
        self._subscriptions.append(subscription)
        return subscription

    async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
        if all(envelope.mandatory for envelope in envelopes):
            return await self._needed.publish(envelopes)
        self._outcomes.start()
        return await self._public.publish(envelopes)

    async def close(self) -> None:
        await asyncio.gather(*(subscription.close() for subscription in self._subscriptions))
        await asyncio.gather(self._needed.close(), self._public.close())
        await asyncio.gather(*(link.close() for link in (self._publishing, self._consuming, self._outcomes)))

    async def _channel(self, link: SupervisedConnection, *, confirms: bool) -> FastChannel:
        connection = await link.connection()
        with cancellation_as_connection_error():
            if self._topology is not None:
                await declare(connection, self._topology)
            return await FastChannel.on(connection, confirms=confirms)
