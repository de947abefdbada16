"""A policy that lets messages be lost is named, and a bound that loses none is not."""

from typing import Any

import pytest

from messages.transport.rabbitmq.management import _policy_arguments
from tests.integration.check.checked import Checked
from tests.integration.toy.waiting import until


def test_what_a_policy_gives_counts_like_what_was_declared() -> None:
    told = {"effective_policy_definition": {"delivery-limit": 100, "overflow": "reject-publish"}}
    assert _policy_arguments(told) == {"x-delivery-limit": 100, "x-overflow": "reject-publish"}
    assert _policy_arguments({"effective_policy_definition": None}) == {}


@pytest.mark.parametrize("kind", ["policies", "operator-policies"])
async def test_a_policy_that_lets_messages_be_lost_is_named(own_vhost: Checked, kind: str) -> None:
    definition = {"delivery-limit": 1, "max-length": 2, "message-ttl": 100}
    await own_vhost.manage(
        "PUT",
        f"{kind}/{own_vhost.vhost}/bad",
        {"pattern": "^toy.bought$", "apply-to": "queues", "definition": definition},
    )
    problems = [
        "queue toy.bought: a policy sets delivery-limit to 1; it must be 100",
        "queue toy.bought: a policy sets max-length to 2; it must be 1000000",
        "queue toy.bought: a policy sets message-ttl to 100; it must not be set",
    ]

    async def told() -> bool:
        return await own_vhost.problems() == problems

    await until(told)  # the management plugin tells of it some time later
    assert await own_vhost.problems(topology="declare") == problems


async def test_a_bound_in_bytes_is_well_unless_what_is_beyond_it_is_dropped(own_vhost: Checked) -> None:
    """For our queues refuse what is too much, and who has said it says it again."""

    async def bound(**definition: Any) -> None:
        policy = {"pattern": "^toy.bought$", "apply-to": "queues", "definition": {"max-length-bytes": 2, **definition}}
        await own_vhost.manage("PUT", f"policies/{own_vhost.vhost}/bound", policy)

    async def told() -> bool:
        problem = "queue toy.bought: a policy sets overflow to 'drop-head'; it must be 'reject-publish'"
        return await own_vhost.problems() == [problem]

    await bound(overflow="drop-head")
    await until(told)  # the management plugin tells of it some time later
    await bound()

    async def nothing_is_told() -> bool:
        return await own_vhost.problems() == []

    await until(nothing_is_told)
