"""A queue that is missing, not as it must be, or on too few nodes is named."""

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from messages.transport.addresses import DEAD_LETTERS
from messages.transport.command_line import broker_check
from messages.transport.rabbitmq.management import ActualQueue
from messages.transport.rabbitmq.management import Management as Reading
from messages.transport.topology import DELIVERY_LIMIT, topology_of
from tests.integration.check.checked import Checked
from tests.integration.toy.service import Toy


async def test_a_missing_queue_is_named_with_what_no_longer_reaches_it(own_vhost: Checked) -> None:
    await own_vhost.manage("DELETE", f"queues/{own_vhost.vhost}/toy.bought")
    assert await own_vhost.problems() == [
        "queue toy.bought is missing",
        "requests/bought does not reach queue toy.bought: the binding is missing",
    ]


async def test_dead_letters_that_lead_nowhere_are_told(own_vhost: Checked) -> None:
    await own_vhost.manage("DELETE", f"bindings/{own_vhost.vhost}/e/{DEAD_LETTERS}/q/toy.dead/toy.dead")
    assert await own_vhost.problems() == ["dead_letters/toy.dead does not reach queue toy.dead: the binding is missing"]


@pytest.mark.parametrize("topology", ["expect", "declare"])
async def test_a_binding_that_an_earlier_release_has_left_is_told(own_vhost: Checked, topology: str) -> None:
    await own_vhost.manage("PUT", f"queues/{own_vhost.vhost}/another.service_s", {"durable": True})
    for queue in ("toy.paid", "toy.reported", "another.service_s"):
        await own_vhost.manage("POST", f"bindings/{own_vhost.vhost}/e/requests/q/{queue}", {"routing_key": "reported"})
    assert await own_vhost.problems(topology=topology) == [
        "requests/reported reaches queue toy.paid, and no longer should: remove the binding"
    ]


async def test_a_queue_that_is_not_as_it_must_be_is_told_argument_by_argument(own_vhost: Checked) -> None:
    expected = next(queue for queue in topology_of([Toy().service()]).queues if queue.name == "toy.paid")
    arguments = dict(expected.arguments) | {"x-delivery-limit": 20}
    del arguments["x-overflow"]
    await own_vhost.declare_again("toy.paid", arguments)
    await own_vhost.manage("POST", f"bindings/{own_vhost.vhost}/e/requests/q/toy.paid", {"routing_key": "paid"})
    assert await own_vhost.problems() == [
        f"queue toy.paid: x-delivery-limit is 20 and must be {DELIVERY_LIMIT}",
        "queue toy.paid: x-overflow is None and must be 'reject-publish'",
    ]


async def test_a_classic_queue_that_does_not_outlive_the_broker_is_told(own_vhost: Checked) -> None:
    await own_vhost.declare_again("toy.dead", {"x-queue-type": "classic"}, durable=False)
    problems = await own_vhost.problems()
    assert "queue toy.dead is not durable" in problems
    assert "queue toy.dead: x-queue-type is 'classic' and must be 'quorum'" in problems


@pytest.mark.parametrize(
    ("members", "nodes", "told"),
    [
        (1, 1, None),
        (1, 2, "1 of 2 nodes"),
        (2, 2, None),
        (1, 3, "1 of 3 nodes"),
        (2, 3, "2 of 3 nodes"),
        (3, 3, None),
        (2, 5, "2 of 5 nodes"),
        (3, 5, None),
        (None, 3, None),
        (1, None, None),
    ],
)
def test_a_queue_that_not_enough_nodes_keep_is_told(members: int | None, nodes: int | None, told: str | None) -> None:
    names = [f"rabbit@{number}" for number in range(5)]
    expected = topology_of([Toy().service()])
    has = None if members is None else names[:members]
    management = SimpleNamespace(
        queues=lambda: {
            queue.name: ActualQueue(durable=True, arguments=dict(queue.arguments), policy={}, members=has, online=None)
            for queue in expected.queues
        },
        bindings=lambda: {(each.exchange, each.key, each.queue) for each in expected.bindings},
        nodes=lambda: None if nodes is None else names[:nodes],
    )
    problems = list(broker_check._expected_problems(cast("Reading", management), expected))
    told_of = [
        f"queue {queue.name} is on {told}: add replicas with `rabbitmq-queues grow`" for queue in expected.queues
    ]
    assert problems == (told_of if told else [])


@pytest.mark.parametrize(("online", "lost"), [(None, False), (3, False), (2, False), (1, True), (0, True)])
def test_a_queue_that_has_lost_its_quorum_is_told(online: int | None, lost: bool) -> None:
    members = ["rabbit@1", "rabbit@2", "rabbit@3"]
    down = ", ".join(members[online or 0 :])
    actual = ActualQueue(
        durable=True, arguments={}, policy={}, members=members, online=None if online is None else members[:online]
    )
    told = [f"queue a.queue has lost its quorum: its replicas on {down} are down"] if lost else []
    assert list(broker_check._replica_problems("a.queue", actual, members)) == told


async def test_replicas_are_read_where_the_broker_tells_of_them(checked: Checked, management_url: str) -> None:
    nodes = await asyncio.to_thread(Reading(management_url, checked.broker_url).nodes)
    queues = await asyncio.to_thread(Reading(management_url, checked.broker_url).queues)
    assert {name: queue.members for name, queue in queues.items()} == dict.fromkeys(queues, nodes)
    assert {name: queue.online for name, queue in queues.items()} == dict.fromkeys(queues, nodes)
    assert len(nodes or ()) == 1


async def test_a_topology_that_differs_cannot_be_declared(own_vhost: Checked) -> None:
    await own_vhost.declare_again("toy.paid", {"x-queue-type": "quorum"})
    (problem,) = await own_vhost.problems(topology="declare")
    assert "toy.paid" in problem
    assert "refuses the topology" in problem
