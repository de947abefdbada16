"""How many new orders there is room for, beside those that are undecided."""

from messages.transport.database.postgres import Database
from order_saga import queries
from tests.integration.order_saga.orders import happy_story, hear, requested


async def test_there_is_room_for_as_many_orders_as_the_limit_leaves_beside_the_undecided(database: Database) -> None:
    orders = [requested() for _ in range(5)]
    await hear(database, *orders)
    await hear(database, *happy_story(orders[0])[1:])
    async with database.transaction() as tx:
        assert await queries.capacity(tx, undecided_limit=10) == 6
        assert await queries.capacity(tx, undecided_limit=4) == 0
        assert await queries.capacity(tx, undecided_limit=3) == 0, "counting stops at the limit"
