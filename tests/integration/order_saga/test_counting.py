"""An outcome is counted once, when its order is decided."""

import time
import uuid
from datetime import UTC, datetime, timedelta

from messages.contracts.delivery import AgentRefused, AgentReleased
from messages.contracts.order import CancelOrder, OrderNotPlaced
from messages.contracts.store import PacketsReleased
from messages.transport.database.postgres import Database
from tests.integration.order_saga.orders import happy_story, hear, requested


async def test_an_outcome_is_counted_when_the_order_is_decided_and_not_when_it_is_told_again(
    database: Database,
) -> None:
    order, refused = requested(), requested()
    began = time.monotonic()
    undecided = await hear(database, *happy_story(order)[:-1], refused)
    assert undecided.outcomes == []
    refusal = AgentRefused(order_id=refused.order_id, reason="no_agent")
    decided = await hear(database, happy_story(order)[-1], refusal, order, refused)
    took = time.monotonic() - began
    assert sorted(each[:2] for each in decided.outcomes) == [("not_placed", "no_agent"), ("placed", "")]
    assert all(each.seconds is not None and 0 < each.seconds < took for each in decided.outcomes)
    again = await hear(database, order, refused, CancelOrder(order_id=refused.order_id))
    assert len(again.outgoing) == 3
    released = [kind(order_id=refused.order_id) for kind in (AgentReleased, PacketsReleased)]
    cleaned = await hear(database, *released)
    assert (again.outcomes, cleaned.outcomes, len(cleaned.changes)) == ([], [], 1)


async def test_an_order_that_is_decided_with_its_first_message_is_counted_once(database: Database) -> None:
    cancel = CancelOrder(order_id=uuid.uuid4())
    assert (await hear(database, cancel, cancel)).outcomes == [("not_placed", "cancelled", None)]
    assert (await hear(database, cancel)).outcomes == []


async def test_a_deadline_that_was_over_when_the_order_came_is_counted_apart_and_told_as_any_other(
    database: Database,
) -> None:
    late = requested(deadline=datetime.now(UTC) - timedelta(seconds=1))
    handled = await hear(database, late)
    assert handled.outcomes == [("not_placed", "deadline_passed_before", None)]
    assert handled.outgoing[0].message == OrderNotPlaced(order_id=late.order_id, reason="deadline_passed")
