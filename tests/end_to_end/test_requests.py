"""What a customer may ask for twice, take back, or get wrong."""

import asyncio
import uuid
from functools import partial

from tests.end_to_end.client import document
from tests.end_to_end.verdict import parked_in, rest
from tests.end_to_end.waiting import until

FORBIDDEN = "SELECT FROM published.parked WHERE reason = 'forbidden' AND type = $1"


async def test_a_repeated_request_hears_the_same_outcome_again(shop):
    market = await shop.market(agents=1, milk=1)
    order = market.order(milk=1)
    first = await shop.client.place(order)
    again = await shop.client.ask_again(order)
    assert (again["packet_ids"], again["agent_id"]) == (first["packet_ids"], first["agent_id"])


async def test_a_request_with_other_content_is_rejected_and_the_order_stands(shop):
    market = await shop.market(agents=1, milk=3)
    order = market.order(milk=1)
    first = await shop.client.place(order)
    other = market.order(milk=2) | {"order_id": order["order_id"]}
    rejection = await shop.client.rejection_of(other)
    assert (rejection["reason"], rejection["order_id"]) == ("conflict", order["order_id"])
    assert (await shop.client.ask_again(order))["packet_ids"] == first["packet_ids"]


async def test_a_cancel_before_the_pivot_ends_the_order_and_frees_what_it_held(shop):
    market = await shop.market(agents=1, milk=1)
    order = market.order(milk=1)
    with shop.daemon("delivery_worker").paused():
        placing = asyncio.create_task(shop.client.place(order))
        await shop.until_held("store_worker", order["order_id"], "reserved")
        outcome = await shop.client.cancel(order["order_id"])
        assert (outcome["type"], outcome["reason"]) == ("OrderNotPlaced", "cancelled")
    assert await placing == outcome
    await rest(shop)
    await shop.until_free(market)


async def test_a_cancel_of_an_unknown_order_is_final(shop):
    market = await shop.market(agents=1, milk=1)
    order = market.order(milk=1)
    outcome = await shop.client.cancel(order["order_id"])
    assert (outcome["type"], outcome["reason"]) == ("OrderNotPlaced", "cancelled")
    assert (await shop.client.ask_again(order))["reason"] == "cancelled"
    await rest(shop)
    await shop.until_free(market)


async def test_a_cancel_of_a_placed_order_is_too_late(shop):
    market = await shop.market(agents=1, milk=1)
    order = market.order(milk=1)
    first = await shop.client.place(order)
    rejection = await shop.client.cancel(order["order_id"])
    assert (rejection["type"], rejection["reason"]) == ("RequestRejected", "too_late")
    assert (await shop.client.ask_again(order))["agent_id"] == first["agent_id"]


async def test_a_malformed_request_is_rejected_each_time_and_parked_once(shop):
    market = await shop.market(agents=1, milk=1)
    bad = market.order(milk=0)
    for times in (1, 2):
        await shop.client.say(bad)
        await shop.until_rows("order_saga", "SELECT FROM published.parked WHERE times = $1", times)
    rejections = await shop.client.until_rejected(bad, times=2)
    await rest(shop)
    assert [each["reason"] for each in rejections] == ["malformed"] * 2
    assert shop.client.rejected(bad) == rejections
    assert {each["order_id"] for each in rejections} == {bad["order_id"]}
    assert await parked_in(shop) == 1
    code, output = await shop.command("order_saga", "audit")
    assert code == 0
    assert "1 document parked through no fault of ours" in output
    await shop.discard_parked("order_saga")


async def test_a_request_that_is_no_json_is_rejected_though_it_names_no_order(shop):
    before = len(of_no_order(shop.client))
    assert await shop.client.publish(b"one pizza, please", exchange="requests", key="order_requested")
    await shop.until_rows("order_saga", "SELECT FROM published.parked")
    await until(partial(one_more_of_no_order, shop.client, before), "it is rejected")
    (rejection,) = of_no_order(shop.client)[before:]
    assert rejection["reason"] == "malformed"
    await shop.discard_parked("order_saga")


def of_no_order(client):
    return [each for each in client.rejections if "order_id" not in each]


async def one_more_of_no_order(client, before):
    return len(of_no_order(client)) > before


async def test_a_request_of_another_major_version_is_rejected_and_one_with_more_fields_is_placed(shop):
    market = await shop.market(agents=1, milk=1)
    newer = market.order(milk=1) | {"type": "OrderRequested/2.0"}
    assert (await shop.client.rejection_of(newer))["reason"] == "malformed"
    await shop.discard_parked("order_saga")
    order = market.order(milk=1) | {"type": "OrderRequested/1.7", "gift_wrapping": {"colour": "red"}}
    assert (await shop.client.place(order))["type"] == "OrderPlaced"


async def test_a_client_cannot_speak_for_our_own_services(shop):
    market = await shop.market(agents=1, milk=1)
    order = market.order(milk=1)
    # Heard, either would end the order: one because it is about an unknown one, the other because it gives all back.
    await shop.client.say(document("PacketsReserved", order_id=order["order_id"]), key="cancel_order")
    await shop.until_rows("order_saga", FORBIDDEN, "PacketsReserved/1.0")
    assert (await shop.client.place(order))["type"] == "OrderPlaced"
    await shop.client.say(document("ReleasePackets", order_id=order["order_id"]), key="stock_received")
    await shop.until_rows("store_worker", FORBIDDEN, "ReleasePackets/1.0")
    code, output = await shop.command("order_saga", "audit")
    assert (code, "2 documents parked through no fault of ours" in output) == (0, True), output
    for service in ("order_saga", "store_worker"):
        await shop.discard_parked(service)


async def test_an_order_whose_deadline_has_passed_is_not_tried(shop):
    market = await shop.market(agents=1, milk=1)
    order = market.order(milk=1) | {"deadline": "2020-01-01T00:00:00Z"}
    outcome = await shop.client.place(order)
    assert outcome["reason"] == "deadline_passed"
    assert not await shop.rows(
        "store_worker", "SELECT FROM published.holdings WHERE order_id = $1", uuid.UUID(order["order_id"])
    )
