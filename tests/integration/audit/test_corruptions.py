"""Each corruption of the services' tables is found, and named with its invariant and its order."""

from uuid import UUID

import pytest

from tests.integration.audit.corruptions import CORRUPTIONS
from tests.integration.audit.worlds import World, audit


@pytest.mark.parametrize("corruption", CORRUPTIONS)
async def test_a_corruption_is_found_and_named(world: World, corruption: str) -> None:
    service, statements, (invariant, order_name, sentence) = CORRUPTIONS[corruption]
    order_id = UUID(order_name.format_map(vars(world))) if order_name else None
    await world.corrupt(service, statements)

    findings = await audit(world.urls, at_rest=True)

    assert any(
        (finding.invariant, finding.order_id) == (invariant, order_id) and sentence in finding.sentence
        for finding in findings
    ), findings
