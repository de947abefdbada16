"""A packet that is withdrawn, or an agent who leaves, before the order is placed: it is not placed."""

from tests.end_to_end.client import document
from tests.end_to_end.phase_two import OTHER, only_reserved_by, until_assigned_by
from tests.end_to_end.verdict import rest


async def test_a_packet_withdrawn_after_it_was_reserved_undoes_the_assigned_agent(shop):
    market = await shop.market(agents=1, milk=1, bread=1)
    order = market.order(milk=1)
    async with only_reserved_by(shop, "store_worker", order) as placing:
        await shop.client.say(market.withdrawal(*market.packets["milk"]))
        await shop.until_noted("store_worker", order["order_id"], "PacketsWithdrawn")
    outcome = await placing
    assert (outcome["participant"], outcome["reason"]) == ("store", "packet_withdrawn")
    await until_assigned_by(shop, "delivery_worker", order)
    await rest(shop)
    assert (await shop.client.place(market.order(bread=1)))["agent_id"] == market.agents[0]
    assert (await shop.client.place(market.order(milk=1)))["type"] == "OrderNotPlaced"


async def test_an_agent_who_went_offline_after_being_reserved_undoes_the_assigned_packets(shop):
    market = await shop.market(agents=1, milk=1)
    order = market.order(milk=1)
    async with only_reserved_by(shop, "delivery_worker", order) as placing:
        await shop.client.say(document("AgentWentOffline", agent_id=market.agents[0]))
        await shop.until_noted("delivery_worker", order["order_id"], "AgentWentOffline")
    outcome = await placing
    assert (outcome["participant"], outcome["reason"]) == ("delivery", "agent_offline")
    await until_assigned_by(shop, "store_worker", order)
    await shop.client.say(document("AgentCameOnline", agent_id=market.agents[0], zone=market.zone))
    await shop.until_free(market)


async def test_a_packet_withdrawn_after_it_was_assigned_keeps_the_order_from_being_placed(shop):
    market = await shop.market(agents=1, milk=1)
    order = market.order(milk=1)
    async with only_reserved_by(shop, "delivery_worker", order) as placing:
        await shop.daemon("delivery_worker").kill()
    await until_assigned_by(shop, "store_worker", order)
    await shop.client.say(market.withdrawal(*market.packets["milk"]))
    outcome = await placing
    assert (outcome["participant"], outcome["reason"]) == ("store", "packet_withdrawn")
    await shop.daemon("delivery_worker").start()
    await rest(shop)
    for each in OTHER:
        await shop.until_held(each, order["order_id"], "released")
