"""No statement takes more rows than its limit, whatever the plan."""

import pytest

from messages.contracts.store import StockReceived
from messages.participant import queries
from store_worker import queries as packets
from store_worker.retiring import BEFORE_ALL_SHELVES
from tests.integration.participant.reservations import expire_all, reserved_orders
from tests.integration.store_worker.messages import STORE
from tests.integration.workers import Worker, in_seconds

# Under the first, `DELETE .. WHERE order_id IN (SELECT .. LIMIT 3 FOR UPDATE SKIP LOCKED)` deletes everything.
PLANS = {
    "a nested loop that runs its inside again and again": "hashjoin mergejoin material memoize hashagg sort",
    "a hash join": "nestloop mergejoin",
    "a merge join": "nestloop hashjoin",
}


@pytest.mark.parametrize("without", PLANS.values(), ids=PLANS)
async def test_no_statement_takes_more_rows_than_its_limit_whatever_the_plan(store: Worker, without: str) -> None:
    await reserved_orders(store, 12)
    await expire_all(store)
    await store.hear(
        StockReceived(
            store_id=STORE, sku="bread", best_before=in_seconds(60), packet_ids=tuple(f"B-{n}" for n in range(12))
        )
    )
    async with store.database.transaction() as tx:
        for method in ("seqscan", "hashjoin", "mergejoin"):
            await tx.execute(f"SET LOCAL enable_{method} = on")
        for method in without.split():
            await tx.execute(f"SET LOCAL enable_{method} = off")
        assert len(await queries.lock_due(tx, 3)) == 3
        assert (await packets.retire(tx, 3_600, BEFORE_ALL_SHELVES, 10, 3)).packets == 3
        await tx.execute(
            "UPDATE reservation SET state = 'expired', reason = 'x', unit_ids = '{}', due_at = NULL, forget_at = now()"
        )
        assert len(await queries.prune(tx, 3, 20_000)) == 3
        assert await tx.fetchval("SELECT count(*) FROM reservation") == 9
        assert await tx.fetchval("SELECT count(*) FROM packet WHERE gone = 'past_best_before'") == 3
