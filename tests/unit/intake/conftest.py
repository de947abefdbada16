"""The place at which documents are taken."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.intake.place import Place


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    place = Place()
    yield place
    await place.intake.stop()
    await place.intake.acknowledge_all()
    await place.broker.close()
