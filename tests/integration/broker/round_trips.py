"""Gives what is on its way through a broker the time to arrive."""

from messages.transport.addresses import Address
from messages.transport.broker import Broker
from tests.integration.broker.carriers import OTHER, Reader, envelope


async def settle(broker: Broker) -> None:
    """Give what is on its way the time of a round trip on another queue, twice."""
    await settle_on(broker, "other", OTHER)


async def settle_on(broker: Broker, queue: str, to: Address) -> None:
    reader = await Reader.of(broker, queue)
    for _ in range(2):
        await broker.publish([envelope(to=to)])
        await reader.acknowledge((await reader.take(1))[0])
    await reader.subscription.stop()


async def greet(broker: Broker, reader: Reader) -> None:
    """Let the reader handle a first message: what a subscription's first consumer holds, is not in its prefetch."""
    await broker.publish([envelope("greeting")])
    (greeting,) = await reader.take(1)
    await reader.acknowledge(greeting)
    await settle(broker)
