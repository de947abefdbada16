"""Orders that are placed, and orders that cannot be, with real daemons on real servers."""

import asyncio
import re
import subprocess
import sys
from dataclasses import replace

from tests.end_to_end.client import document
from tests.end_to_end.daemons import ROOT
from tests.end_to_end.market import Market
from tests.end_to_end.verdict import rest

EXAMPLE_URL = "amqp://guest:guest@localhost/"
EXAMPLE_DEADLINE = "seconds=15"


async def test_an_order_is_placed_with_its_own_packets_and_an_agent(shop):
    market = await shop.market(agents=1, milk=2, bread=1)
    outcome = await shop.client.place(market.order(milk=2, bread=1))
    assert outcome["type"] == "OrderPlaced"
    assert sorted(outcome["packet_ids"]) == sorted([*market.packets["milk"], *market.packets["bread"]])
    assert outcome["agent_id"] == market.agents[0]


async def test_without_packets_an_order_is_not_placed_and_the_agent_stays_free(shop):
    market = await shop.market(agents=1, milk=1)
    outcome = await shop.client.place(market.order(milk=2))
    assert (outcome["type"], outcome["participant"]) == ("OrderNotPlaced", "store")
    assert outcome["reason"] == "out_of_stock"
    await rest(shop)
    await shop.until_free(market)


async def test_an_order_of_which_one_line_is_missing_holds_none_of_the_others(shop):
    market = await shop.market(agents=1, milk=5, bread=1)
    outcome = await shop.client.place(market.order(milk=5, bread=2))
    assert (outcome["participant"], outcome["reason"]) == ("store", "out_of_stock")
    await rest(shop)
    await shop.until_free(market)


async def test_without_an_agent_an_order_is_not_placed_and_the_packets_stay_on_the_shelf(shop):
    market = await shop.market(agents=0, milk=2)
    outcome = await shop.client.place(market.order(milk=2))
    assert (outcome["type"], outcome["participant"]) == ("OrderNotPlaced", "delivery")
    assert outcome["reason"] == "no_agent"
    await rest(shop)
    await shop.until_free(market)


async def test_without_packets_and_without_an_agent_one_of_them_is_named(shop):
    market = await shop.market(agents=0, milk=1)
    outcome = await shop.client.place(market.order(milk=2))
    assert (outcome["participant"], outcome["reason"]) in {("store", "out_of_stock"), ("delivery", "no_agent")}
    await rest(shop)
    await shop.until_free(market)


async def test_a_sku_that_the_store_has_never_had_is_told_apart_from_an_empty_shelf(shop):
    market = await shop.market(agents=1, milk=1)
    outcome = await shop.client.place(market.order(milk=1, unicorn=1))
    assert (outcome["participant"], outcome["reason"]) == ("store", "unknown_sku")
    await rest(shop)
    await shop.until_free(market)


async def test_what_was_delivered_is_gone_and_its_agent_takes_the_next_order(shop):
    market = await shop.market(agents=1, milk=2)
    first = await shop.client.place(market.order(milk=1))
    assert (await shop.client.place(market.order(milk=1)))["reason"] == "no_agent"
    await shop.client.say(document("DeliveryCompleted", order_id=first["order_id"]))
    await shop.until_held("delivery_worker", first["order_id"], "fulfilled")
    await shop.until_held("store_worker", first["order_id"], "fulfilled")
    second = await shop.client.place(market.order(milk=1))
    assert second["type"] == "OrderPlaced"
    assert second["agent_id"] == first["agent_id"]
    assert second["packet_ids"] != first["packet_ids"]


async def test_the_example_in_the_readme_places_its_order_or_says_why_not(shop):
    (example,) = re.findall(r"^```python\n(.+?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert EXAMPLE_URL in example
    market = replace(Market.of(agents=1, packets={"milk": 2}), store_id="store-1", zone="north")
    shop.markets.append(market)
    await asyncio.gather(*(shop.client.say(said) for said in market.stocking()))
    await shop.until_free(market)
    assert EXAMPLE_DEADLINE in example
    program = example.replace(EXAMPLE_URL, shop.broker_url).replace(EXAMPLE_DEADLINE, "seconds=120")
    assert await _printed(program) == f"placed: {market.packet_ids} {market.agents[0]}\n"
    assert await _printed(program) in {f"OrderNotPlaced/1.0 {reason}\n" for reason in ("out_of_stock", "no_agent")}


async def _printed(program: str) -> str:
    """Errors too."""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False
    )
    return done.stdout + done.stderr
