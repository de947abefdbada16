"""Settings under which no order could be decided in time, or even begin, are refused."""

import pytest

from messages.transport.settings import WrongSetting
from tests.unit.order_saga.settings import settings


@pytest.mark.parametrize("lease_seconds", [1, 15, 19])
def test_a_lease_that_may_end_before_the_order_is_decided_is_refused_in_one_line(lease_seconds: int) -> None:
    with pytest.raises(WrongSetting, match=r"^ORDER_SAGA_LEASE_SECONDS: \d+ is too short; it must be at least 20, .*$"):
        settings(budget_seconds=15, lease_seconds=lease_seconds)
    assert settings(budget_seconds=15, lease_seconds=20).policy.lease_seconds == 20


def test_that_no_order_may_ever_begin_is_refused() -> None:
    with pytest.raises(WrongSetting, match=r"^ORDER_SAGA_UNDECIDED_LIMIT: "):
        settings(undecided_limit=0)
