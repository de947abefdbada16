"""`order-saga audit` says clean, or what is wrong."""

import asyncio

from tests.integration.command_line.shell import Shell


async def test_the_audit_says_clean_or_what_is_wrong(shell: Shell) -> None:
    clean = await shell.type("order_saga", "audit", "--grace", "1")
    assert (clean.code, clean.out) == (0, ""), clean
    assert clean.err.startswith("clean: ")

    await shell.sql("store_worker", "INSERT INTO received (store_id, sku, received) VALUES ('ghost', 'milk', 2)")
    try:
        people, machines = await asyncio.gather(
            shell.type("order_saga", "audit", "--grace", "0"),
            shell.type("order_saga", "audit", "--grace", "0", "--json"),
        )
    finally:
        await shell.sql("store_worker", "DELETE FROM received WHERE store_id = 'ghost'")

    sentence = "ghost should have 2 of milk, sold or not, but has 0"
    assert (people.code, people.out) == (1, f"I3  store_worker  {sentence}\n"), people
    assert machines.objects == [{"invariant": "I3", "sentence": sentence, "order_id": None, "service": "store_worker"}]
