"""How long a broker here waits for confirms, and a probe for when it gets them again."""

from messages.transport.rabbitmq.broker import RabbitBroker
from tests.integration.broker.carriers import envelope, eventually

TIMEOUT_SECONDS = 1.0


async def until_published(broker: RabbitBroker) -> None:
    async def published() -> bool:
        return await broker.publish([envelope("probe")]) == [True]

    await eventually(published)
