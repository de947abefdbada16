"""The place at which documents are taken."""

from collections.abc import AsyncIterator

import pytest

from messages.transport.batches import stall_guard
from tests.unit.intake.place import Place


@pytest.fixture(autouse=True)
def _nothing_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the machine stands still in mid-batch."""
    monkeypatch.setattr(stall_guard, "HELD_SECONDS", 3_600.0)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    place = Place()
    yield place
    await place.intake.stop()
    await place.intake.acknowledge_all()
    await place.broker.close()
