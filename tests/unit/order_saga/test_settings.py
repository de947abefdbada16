"""Settings under which no order could be decided in time are refused; that none begins is allowed."""

import pytest

from messages.transport.settings import WrongSetting
from order_saga.service import service
from tests.unit.order_saga.settings import settings


@pytest.mark.parametrize("lease_seconds", [1, 15, 19])
def test_a_lease_that_may_end_before_the_order_is_decided_is_refused_in_one_line(lease_seconds: int) -> None:
    with pytest.raises(WrongSetting, match=r"^ORDER_SAGA_LEASE_SECONDS: \d+ is too short; it must be at least 20, .*$"):
        settings(budget_seconds=15, lease_seconds=lease_seconds)
    assert settings(budget_seconds=15, lease_seconds=20).policy.lease_seconds == 20


def test_no_order_begins_if_none_may_be_undecided() -> None:
    assert not service(settings(undecided_limit=0)).takes_new_work
    assert service(settings(undecided_limit=1)).takes_new_work


@pytest.mark.parametrize("limit", [-1, 1_000_001, 10**20])
def test_a_limit_that_no_database_could_count_to_is_refused(limit: int) -> None:
    with pytest.raises(WrongSetting, match=r"^ORDER_SAGA_UNDECIDED_LIMIT: "):
        settings(undecided_limit=limit)
