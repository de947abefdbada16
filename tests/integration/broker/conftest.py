"""Each test once with RabbitMQ and once with the in-process broker."""

from collections.abc import AsyncIterator

import pytest

from messages.transport.broker import Broker
from tests.conftest import NewVhost
from tests.integration.broker.carriers import Carrier, InProcess, Rabbit


@pytest.fixture
async def in_process() -> AsyncIterator[Carrier]:
    carrier = InProcess()
    yield carrier
    await carrier.close()


@pytest.fixture
async def rabbit(new_vhost: NewVhost) -> AsyncIterator[Carrier]:
    carrier = Rabbit(await new_vhost())
    await carrier.declare()
    yield carrier
    await carrier.close()


@pytest.fixture(params=["in_process", pytest.param("rabbit", marks=pytest.mark.rabbitmq)])
def carrier(request: pytest.FixtureRequest) -> Carrier:
    made: Carrier = request.getfixturevalue(request.param)
    return made


@pytest.fixture
async def broker(carrier: Carrier) -> Broker:
    return await carrier.broker()
