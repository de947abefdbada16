"""The primary of PostgreSQL dies under load, and its standby takes over: that costs seconds, and no order."""

from tests.end_to_end.load import load


async def test_nothing_is_lost_when_a_standby_takes_over_under_load(own_replicated, shared_servers, new_cell):
    cell = await new_cell(servers=shared_servers._replace(postgres_url=own_replicated.url))
    async with load(cell) as orders:
        await orders.until_placed(50)
        await own_replicated.fail_over()
        await orders.until_placed(100)
    orders.assert_useful(share=0.5, number=150)
    assert all(daemon.running for daemon in cell.daemons)
