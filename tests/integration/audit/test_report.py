"""What the audit reports where it cannot tell all of it."""

import pytest

from messages.transport.command_line.failures import Unreachable, WrongUsage
from order_saga.inspection import audit as auditing
from order_saga.inspection.audit import examine
from tests.integration.audit.worlds import World, audit


async def test_of_more_findings_than_are_kept_all_orders_are_counted_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "MOST_FINDINGS", 1)
    await world.corrupt("store_worker", "DELETE FROM reservation")

    report = await examine(world.urls, 0.0, at_rest=True)

    assert (len({finding.order_id for finding in report.findings} - {None}), report.orders) == (1, 4)


async def test_a_database_that_is_not_there_is_named(world: World) -> None:
    nowhere = dict(world.urls) | {"store_worker": "postgresql://postgres@127.0.0.1:1/nowhere"}

    with pytest.raises(Unreachable, match=r"^STORE_WORKER_DATABASE_URL: "):
        await audit(nowhere)


@pytest.mark.parametrize(
    ("service", "other"),
    [("store_worker", "delivery_worker"), ("delivery_worker", "store_worker"), ("order_saga", "store_worker")],
)
async def test_a_database_of_another_service_is_refused_and_not_accused(world: World, service: str, other: str) -> None:
    wrong = dict(world.urls) | {service: world.urls[other]}

    with pytest.raises(WrongUsage, match=rf"^{service.upper()}_DATABASE_URL: this is {other}'s database$"):
        await audit(wrong, at_rest=True)
