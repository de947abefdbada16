"""RabbitMQ as a cluster: when a node is lost, the daemons go on with the others."""

import time
from functools import partial

import pytest

from tests.end_to_end.load import load
from tests.end_to_end.waiting import until

pytestmark = pytest.mark.docker

OUTAGE_SECONDS = 30.0
"""A publish timeout and an election, on a slow machine."""


async def test_the_node_that_leads_all_queues_and_has_all_connections_may_be_killed_under_load(
    rabbitmq_cluster, shared_servers, new_cell
):
    servers = shared_servers._replace(broker_url=rabbitmq_cluster.url, management_url=rabbitmq_cluster.management_url)
    first, *_ = rabbitmq_cluster.nodes
    cell = await new_cell(servers=servers)
    await until(partial(leads_all, first, cell), "the first node leads all queues")
    async with load(cell) as orders:
        await orders.until_placed(20)
        await first.kill()
        began = time.monotonic()
        await orders.until_placed(40)
        assert time.monotonic() - began < OUTAGE_SECONDS
        await first.start()
        await orders.until_placed(20)
    orders.assert_useful(share=0.9, number=80)
    assert all(daemon.told("broker connection lost") for daemon in cell.daemons)


async def leads_all(node, cell):
    if {queue["leader"] for queue in await cell.management.queues(cell.name)} == {node.name}:
        return True
    await node.lead(cell.name)
    return False
