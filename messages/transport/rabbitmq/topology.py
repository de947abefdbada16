"""Declares a topology in RabbitMQ, for development; in production it comes from a definitions file."""

from aio_pika.abc import AbstractConnection

from messages.transport.rabbitmq.connection import close_quietly, in_time, open_channel
from messages.transport.topology import Topology


async def declare(connection: AbstractConnection, topology: Topology) -> None:
    """Declare what is not there yet. Raises ChannelPreconditionFailed if something is there with other arguments."""
    channel = await open_channel(connection, confirms=False)
    try:
        for exchange in topology.exchanges:
            await in_time(channel.exchange_declare(exchange.name, exchange_type=exchange.kind, durable=True))
        for queue in topology.queues:
            await in_time(channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments)))
        for binding in topology.bindings:
            await in_time(channel.queue_bind(binding.queue, binding.exchange, binding.key))
    finally:
        await close_quietly(channel)
