"""What a reservation's row must never say, whoever writes it: the database refuses it."""

from uuid import uuid4

import asyncpg
import pytest

from messages.contracts.store import ReservePackets, StockReceived, Want
from store_worker.service import service
from store_worker.settings import Settings
from tests.conftest import NewDatabase
from tests.integration.workers import Worker, in_seconds

SETTINGS = Settings(database_url="postgresql://elsewhere/")
STORE = "berlin-1"
NAMES = {
    "state": "reservation_state_check",
    "reason": "reservation_check",
    "expires_at": "reservation_check1",
    "assigned_at": "reservation_check2",
}
"""Column -> what PostgreSQL calls the constraint that stands beside it."""
ENDED = "unit_ids = '{}', due_at = NULL, forget_at = now()"


@pytest.mark.parametrize(
    ("constraint", "change"),
    [
        ("holds_units", "unit_ids = '{}'"),
        ("holds_units", f"{ENDED}, state = 'released', reason = 'x', unit_ids = '{{M-1}}'"),
        ("looked_after", "due_at = NULL"),
        ("looked_after", "due_at = NULL, state = 'assigned', assigned_at = now()"),
        ("looked_after", "forget_at = now()"),
        ("looked_after", f"{ENDED}, state = 'released', reason = 'x', forget_at = NULL"),
        ("assigned_at", "state = 'assigned'"),
        ("assigned_at", "state = 'confirmed'"),
        ("assigned_at", "state = 'fulfilled', forget_at = now()"),
        ("expires_at", "expires_at = NULL"),
        ("expires_at", f"{ENDED}, state = 'expired', reason = 'x', expires_at = NULL"),
        ("reason", "reason = 'x'"),
        ("reason", f"{ENDED}, state = 'refused'"),
        ("state", f"{ENDED}, state = 'lost'"),
    ],
)
async def test_a_reservation_that_contradicts_itself_is_refused(
    new_database: NewDatabase, constraint: str, change: str
) -> None:
    """Each change breaks this one constraint, and no other."""
    store = await Worker.start(service(SETTINGS), await new_database(*service(SETTINGS).migrations))
    goods = StockReceived(store_id=STORE, sku="milk", best_before=in_seconds(864_000), packet_ids=("M-1",))
    wants = (Want(sku="milk", quantity=1),)
    order = ReservePackets(order_id=uuid4(), store_id=STORE, wants=wants, lease_seconds=60, not_after=in_seconds(60))
    await store.hear(goods, order)

    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await store.execute(f"UPDATE reservation SET {_last_word(change)}")

    assert refused.value.constraint_name == NAMES.get(constraint, constraint)
    await store.stop()


def _last_word(changes: str) -> str:
    """Each column once, with what is said of it last."""
    return ", ".join(
        f"{column} = {value}" for column, value in dict(change.split(" = ") for change in changes.split(", ")).items()
    )
