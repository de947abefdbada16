"""Five minutes without PostgreSQL. They pass while the other tests run; at the end the results are checked."""

import pytest

from tests.end_to_end.outage import OUTAGE_SECONDS
from tests.end_to_end.verdict import reasons


@pytest.mark.timeout(OUTAGE_SECONDS + 300)
async def test_five_minutes_without_postgresql_lose_nothing_and_park_nothing(long_outage):
    told = await long_outage.result()
    assert told.seconds >= OUTAGE_SECONDS
    assert all(times >= 10 for times in told.held.values()), told.held
    assert told.restarted == []
    assert reasons(told.placed_before) == {"placed": 20}
    assert reasons(told.placed_after)["placed"] >= 60
