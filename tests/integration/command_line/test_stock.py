"""`store-worker stock`: packets are counted, listed one by one, and withdrawn."""

import asyncio

import pytest

from tests.integration.command_line.shell import Shell
from tests.integration.command_line.shops import LATER, a_shop, free, order, text


async def test_stock_is_listed_by_what_became_of_it(shell: Shell) -> None:
    shop = await a_shop(shell, packets=3, agents=1)
    placed = await shell.type("order_saga", "place", "-", stdin=text([order(shop, 2)]))
    assert placed.code == 0
    await shell.until(
        "store_worker", f"SELECT count(*) = 2 FROM published.stock WHERE place = '{shop}' AND state = 'confirmed'"
    )

    people, machines = await asyncio.gather(
        shell.type("store_worker", "stock", "list"), shell.type("store_worker", "stock", "list", "--json")
    )

    assert people.out.startswith("store            sku                        free   reserved")
    (mine,) = [each for each in machines.objects if each["store_id"] == shop]
    assert mine == {
        "store_id": shop, "sku": "milk",
        "free": 1, "reserved": 0, "assigned": 0, "confirmed": 2, "fulfilled": 0, "retired": 0,
    }  # fmt: skip


async def test_packets_are_listed_one_by_one_and_those_that_are_chosen_are_withdrawn(shell: Shell) -> None:
    shop = await a_shop(shell, packets=3, agents=1)
    (told,) = (await shell.type("order_saga", "place", "--json", "-", stdin=text([order(shop)]))).objects
    (sold,) = told["packet_ids"]
    mine = f"FROM published.stock WHERE place = '{shop}'"
    await shell.until("store_worker", f"SELECT count(*) = 1 {mine} AND state = 'confirmed'")
    choice = ("--sku", "milk", "--received-since", "2026-01-01", "--received-before", "2999-12-31T00:00:00")

    looked = await shell.type("store_worker", "stock", "withdraw", shop, *choice)
    assert (looked.code, looked.err) == (1, "nothing was withdrawn; add --yes to withdraw\n"), looked
    assert looked.out.startswith(f"{shop}: 3 packets to withdraw: 2 free, 1 confirmed\npacket ")
    assert looked.out.count("\n") == 3
    done = await shell.type("store_worker", "stock", "withdraw", shop, *choice, "--yes")
    assert (done.code, done.out) == (0, f"{looked.out}1 PacketsWithdrawn published\n"), done
    await shell.until("store_worker", f"SELECT bool_and(withdrawn) {mine}")
    again = await shell.type("store_worker", "stock", "withdraw", shop, *choice, "--yes")
    assert (again.code, again.out) == (0, f"{shop}: no packets to withdraw\n"), again

    people, machines = await asyncio.gather(
        shell.type("store_worker", "stock", "list", shop, "--ids"),
        shell.type("store_worker", "stock", "list", shop, "--ids", "--json", *choice),
    )
    assert f"{sold:<36} {shop:<16} {'milk':<20} confirmed, withdrawn {told['order_id']} " in people.out
    assert people.out.count("retired, withdrawn") == 2
    packets = {each["packet_id"]: each for each in machines.objects}
    assert len(packets) == 3
    assert packets[sold] | {"received_at": "then"} == {
        "packet_id": sold, "store_id": shop, "sku": "milk", "state": "confirmed", "withdrawn": True,
        "order_id": told["order_id"], "best_before": LATER.isoformat(), "received_at": "then",
    }  # fmt: skip


@pytest.mark.parametrize(
    "choice", [("--sku", "tea"), ("--received-since", "2999-01-01"), ("--received-before", "2026-01-01")]
)
async def test_what_was_not_chosen_is_neither_counted_nor_listed_nor_withdrawn(
    shell: Shell, choice: tuple[str, str]
) -> None:
    shop = await a_shop(shell, packets=1, agents=0)

    counted, listed, withdrawn = await asyncio.gather(
        shell.type("store_worker", "stock", "list", shop, "--json", *choice),
        shell.type("store_worker", "stock", "list", shop, "--json", "--ids", *choice),
        shell.type("store_worker", "stock", "withdraw", shop, *choice),
    )

    assert (counted.code, counted.objects, listed.code, listed.objects) == (0, [], 0, [])
    assert (withdrawn.code, withdrawn.out) == (0, f"{shop}: no packets to withdraw\n")


async def test_what_was_added_by_mistake_is_taken_back_by_its_ids(shell: Shell) -> None:
    shop = await a_shop(shell, packets=1, agents=0)
    added = await shell.type("store_worker", "stock", "add", shop, "milk", "2", "--ids")
    await shell.until("store_worker", free(shop, 3))

    taken = await shell.type("store_worker", "stock", "withdraw", shop, *added.out.split(), "never-came", "--yes")

    assert (taken.code, taken.out.splitlines()[0]) == (
        0, f"{shop}: 3 packets to withdraw: 2 free, 1 never received",
    ), taken  # fmt: skip
    await shell.until("store_worker", free(shop, 1))


@pytest.mark.parametrize("arguments", [("list",), ("withdraw", "store-1", "P-1")])
async def test_the_database_of_another_service_is_named_as_such(shell: Shell, arguments: tuple[str, ...]) -> None:
    told = await shell.type("store_worker", "stock", *arguments, STORE_WORKER_READER_URL=shell.urls["delivery_worker"])

    assert (told.code, told.out) == (2, "")
    assert told.err == "Error: STORE_WORKER_READER_URL: this is delivery_worker's database\n"
