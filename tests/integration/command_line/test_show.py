"""`order-saga show`: the story of an order, in order of time."""

import asyncio
import uuid
from collections import Counter

from tests.integration.command_line.shell import Shell
from tests.integration.command_line.shops import a_shop, order, text


async def test_the_story_of_an_order_is_told_in_order_of_time(shell: Shell) -> None:
    shop = await a_shop(shell, packets=1, agents=1)
    (told,) = (await shell.type("order_saga", "place", "--json", "-", stdin=text([order(shop)]))).objects
    confirmed = f"SELECT state = 'confirmed' FROM published.holdings WHERE order_id = '{told['order_id']}'"
    await shell.until("store_worker", confirmed)
    await shell.until("delivery_worker", confirmed)

    people, machines = await asyncio.gather(
        shell.type("order_saga", "show", told["order_id"]), shell.type("order_saga", "show", "--json", told["order_id"])
    )

    assert people.code == machines.code == 0, people
    assert people.out.startswith(f"order {told['order_id']}: placed after ")
    assert f"store     confirmed {told['packet_ids'][0]}" in people.out
    (story,) = machines.objects
    assert story["order"]["outcome"] == "placed"
    assert story["holdings"]["delivery"]["unit_ids"] == [told["agent_id"]]
    happened = [(each["service"], each["event"]) for each in story["timeline"]]
    assert happened[0] == ("order_saga", "OrderRequested")
    assert Counter(service for service, _ in happened) == {"order_saga": 6, "store_worker": 3, "delivery_worker": 3}
    assert [each["at"] for each in story["timeline"]] == sorted(each["at"] for each in story["timeline"])


async def test_an_alarm_about_an_order_that_was_placed_long_ago_is_in_its_story(shell: Shell) -> None:
    shop = await a_shop(shell, packets=1, agents=1)
    (told,) = (await shell.type("order_saga", "place", "--json", "-", stdin=text([order(shop)]))).objects
    this = f"WHERE order_id = '{told['order_id']}'"
    await shell.until("delivery_worker", f"SELECT state = 'confirmed' FROM published.holdings {this}")
    earlier = "- interval '1 hour'"
    for worker in ("store_worker", "delivery_worker"):
        await shell.sql(worker, f"UPDATE reservation SET changed_at = changed_at {earlier} {this}")
    await shell.sql("order_saga", "ALTER TABLE saga DISABLE TRIGGER outcome_is_final")
    times = f"accepted_at = accepted_at {earlier}, decided_at = decided_at {earlier}"
    await shell.sql("order_saga", f"UPDATE saga SET {times} {this}")
    await shell.sql("order_saga", "ALTER TABLE saga ENABLE TRIGGER outcome_is_final")

    await shell.type(
        "delivery_worker", "publish", "-", stdin=text([{"type": "AgentWentOffline/1.0", "agent_id": told["agent_id"]}])
    )
    await shell.until("delivery_worker", f"SELECT count(*) = 1 FROM published.timeline {this} AND event = 'Alarm'")
    (story,) = (await shell.type("order_saga", "show", "--json", told["order_id"])).objects
    alarms = [each["detail"] for each in story["timeline"] if each["event"] == "Alarm"]
    assert [detail.split(": ")[0] for detail in alarms] == ["offline_while_confirmed"]


async def test_an_order_that_nobody_knows_has_no_story(shell: Shell) -> None:
    unknown = await shell.type("order_saga", "show", str(uuid.uuid4()))

    assert unknown.code == 1
    assert unknown.err.startswith("Error: no service knows an order")
