"""How long a broker here waits for confirms, and a probe for when it gets them again."""

from collections.abc import Iterator
from contextlib import contextmanager

from messages.transport.rabbitmq.broker import RabbitBroker
from tests.integration.broker.carriers import envelope, eventually

TIMEOUT_SECONDS = 60.0
"""A busy machine confirms late, and the first publish declares everything before."""
SHORT_SECONDS = 1.0
"""Where no confirm can come."""


@contextmanager
def in_a_hurry(broker: RabbitBroker, seconds: float = SHORT_SECONDS) -> Iterator[None]:
    """What is published in the block has so long to be confirmed."""
    publishers = (broker._needed, broker._public)
    before = [publisher._timeout_seconds for publisher in publishers]
    for publisher in publishers:
        publisher._timeout_seconds = seconds
    try:
        yield
    finally:
        for publisher, usual in zip(publishers, before, strict=True):
            publisher._timeout_seconds = usual


async def until_published(broker: RabbitBroker) -> None:
    async def published() -> bool:
        return await broker.publish([envelope("probe")]) == [True]

    await eventually(published)
