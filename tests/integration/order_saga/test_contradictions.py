"""What the table refuses: a second outcome, and rows that contradict themselves."""

import json
import uuid
from datetime import UTC, datetime

import asyncpg
import pytest

from messages.contracts.delivery import AgentRefused
from messages.transport.database.postgres import Database
from messages.transport.database.writing import write
from order_saga import queries
from order_saga.state import Phase
from tests.integration.order_saga.orders import execute, fetchval, happy_story, hear, phases, requested

NOT_PLACED = "outcome = 'not_placed', reason = 'cancelled', decided_at = now()"


@pytest.mark.parametrize(
    ("outcome", "change"),
    [
        ("placed", "outcome = 'not_placed', phase = 'releasing', reason = 'cancelled', granted = '{}'"),
        ("placed", "outcome = NULL, phase = 'assigning', decided_at = NULL"),
        ("placed", """granted = '{"store": ["P-2"], "delivery": ["A-1"]}'"""),
        ("placed", "decided_at = decided_at + interval '1 second'"),
        ("not_placed", "reason = 'cancelled'"),
        ("not_placed", "participant = 'store'"),
        ("not_placed", "decided_at = decided_at + interval '1 second'"),
    ],
)
async def test_an_outcome_is_written_once(database: Database, outcome: str, change: str) -> None:
    order = requested()
    refused = AgentRefused(order_id=order.order_id, reason="no_agent")
    await hear(database, *(happy_story(order) if outcome == "placed" else [order, refused]))
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="is final"):
        await execute(database, f"UPDATE saga SET {change}")


@pytest.mark.parametrize(
    "standing",
    ['{"store": "assigned", "delivery": "reserved"}', '{"store": "reserved", "delivery": "reserved"}', "{}"],
)
async def test_no_order_is_placed_unless_everybody_has_assigned(database: Database, standing: str) -> None:
    await hear(database, requested())
    with pytest.raises(asyncpg.CheckViolationError, match="placed_only_if_all_assigned"):
        await execute(
            database,
            f"""UPDATE saga SET standing = '{standing}', phase = 'placed', outcome = 'placed', decided_at = now(),
                                granted = '{{"store": ["P-1"], "delivery": ["A-1"]}}'""",
        )


@pytest.mark.parametrize(
    "granted",
    [
        "{}",
        '{"store": ["P-1"]}',
        '{"store": ["P-1"], "delivery": []}',
        '{"store": ["P-1"], "delivery": ["A-1"], "payment": ["C-1"]}',
    ],
)
async def test_no_order_is_placed_unless_everybody_has_granted_something(database: Database, granted: str) -> None:
    await hear(database, requested())
    with pytest.raises(asyncpg.CheckViolationError, match="placed_only_if_all_granted"):
        await execute(
            database,
            f"""UPDATE saga SET standing = '{{"store": "assigned", "delivery": "assigned"}}', granted = '{granted}',
                                phase = 'placed', outcome = 'placed', decided_at = now()""",
        )


@pytest.mark.parametrize(
    ("constraint", "change"),
    [
        ("outcome_follows_phase", "phase = 'placed'"),
        ("outcome_follows_phase", "outcome = 'placed', decided_at = now()"),
        ("outcome_follows_phase", "outcome = 'placed'"),
        ("decided_has_a_time", "decided_at = now()"),
        ("not_placed_has_a_reason", "reason = 'cancelled'"),
        ("not_placed_has_a_reason", "phase = 'releasing', outcome = 'not_placed', decided_at = now()"),
        ("nothing_granted_if_not_placed", f"""phase = 'releasing', {NOT_PLACED}, granted = '{{"store": ["P-1"]}}'"""),
        ("closed_only_if_all_released", f"phase = 'releasing', {NOT_PLACED}, cleaned_at = now()"),
        ("closed_only_if_all_released", f"phase = 'closed', {NOT_PLACED}"),
        ("closed_only_if_all_released", f"phase = 'closed', {NOT_PLACED}, cleaned_at = now()"),
        ("closed_only_if_all_released", "cleaned_at = now()"),
        ("decided_has_a_time", "phase = 'releasing', outcome = 'not_placed', reason = 'cancelled'"),
        ("phase_is_known", "phase = 'done'"),
    ],
)
async def test_a_row_that_contradicts_itself_is_refused(database: Database, constraint: str, change: str) -> None:
    await hear(database, requested())
    with pytest.raises(asyncpg.CheckViolationError, match=constraint):
        await execute(database, f"UPDATE saga SET {change}")


async def test_a_row_that_contradicts_itself_is_not_created_either(database: Database) -> None:
    await hear(database, requested())
    placed = {
        "order_id": str(uuid.uuid4()),
        "standing": {"store": "assigned", "delivery": "assigned"},
        "phase": "placed",
        "outcome": "placed",
        "decided_at": "2030-01-01",
    }
    with pytest.raises(asyncpg.CheckViolationError, match="placed_only_if_all_granted"):
        await execute(
            database,
            "INSERT INTO saga SELECT placed.* FROM saga, jsonb_populate_record(saga,"
            f" '{json.dumps(placed)}') AS placed",
        )


async def test_what_a_batch_writes_is_refused_as_a_whole_if_one_order_would_contradict_itself(
    database: Database,
) -> None:
    """The triggers fire at the end of the statement, which has written all the others by then."""
    good, bad = requested(), requested()
    await hear(database, good, bad)
    async with database.session() as tx:
        _, sagas = await queries.read(tx, [good.order_id, bad.order_id])
        moved = sagas[good.order_id]._replace(repeats=1)
        placed = sagas[bad.order_id]._replace(phase=Phase.PLACED, decided_at=datetime.now(UTC))
        writes = queries.write([(sagas[good.order_id], moved), (sagas[bad.order_id], placed)])
        with pytest.raises(asyncpg.CheckViolationError, match="placed_only_if_all_assigned"):
            await write(tx, writes)
    assert await phases(database) == {"reserving": 2}
    assert await fetchval(database, "SELECT max(repeats) FROM saga") == 0


async def test_what_only_refuses_locks_no_row(database: Database) -> None:
    """A BEFORE trigger would, whether it fires or not, for each of an order's updates."""
    before = "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'saga'::regclass AND tgtype & 2 <> 0"
    assert await fetchval(database, before) == 0
