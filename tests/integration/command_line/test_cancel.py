"""`order-saga cancel`: an order that is not placed yet never will be, and one that is placed stays so."""

import asyncio
import json
import os
import signal
import sys
import uuid

from tests.integration.command_line.brokers import SilentShop
from tests.integration.command_line.shell import ROOT, Shell
from tests.integration.command_line.shops import a_shop, order, text


async def test_an_order_that_comes_after_its_cancellation_is_not_placed(shell: Shell) -> None:
    shop, order_id = await a_shop(shell, packets=1, agents=1), str(uuid.uuid4())

    cancelled = await shell.type("order_saga", "cancel", order_id)
    placed = await shell.type("order_saga", "place", "-", stdin=text([order(shop, order_id=order_id)]))

    assert (cancelled.code, cancelled.out, cancelled.err) == (0, f"not placed  {order_id}  cancelled\n", "")
    assert (placed.code, placed.out.split()) == (1, ["not", "placed", order_id, "cancelled"])


async def test_an_order_that_is_placed_stays_so(shell: Shell) -> None:
    shop, order_id = await a_shop(shell, packets=1, agents=1), str(uuid.uuid4())
    await shell.type("order_saga", "place", "-", stdin=text([order(shop, order_id=order_id)]))

    people = await shell.type("order_saga", "cancel", order_id)
    machine = await shell.type("order_saga", "cancel", "--json", order_id)

    assert people.code == machine.code == 1
    assert people.out.startswith(f"rejected    {order_id}  too_late: ")
    assert "line" not in people.out
    (told,) = machine.objects
    assert (told["outcome"], told["reason"], told["order_id"]) == ("rejected", "too_late", order_id)
    assert "line" not in told


async def test_no_outcome_in_time_is_told_with_the_order(shell: Shell, silent_shop: SilentShop) -> None:
    order_id = str(uuid.uuid4())
    told = await shell.type("order_saga", "cancel", "--timeout", "0.5", order_id, BROKER_URL=silent_shop.url)
    assert (told.code, told.err) == (3, "")
    assert told.out.startswith(f"unanswered  {order_id}  no outcome within ")


async def test_it_may_be_stopped_and_names_the_order(silent_shop: SilentShop) -> None:
    order_id = str(uuid.uuid4())
    cancelling = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "order_saga", "cancel", "--json", order_id, cwd=ROOT,
        env={**os.environ, "BROKER_URL": silent_shop.url}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await silent_shop.until_an_order_waits("order_saga.answers")
    cancelling.send_signal(signal.SIGTERM)
    out, _ = await asyncio.wait_for(cancelling.communicate(), 60)
    assert cancelling.returncode == 143
    assert json.loads(out)["order_id"] == order_id


async def test_what_is_no_order_id_is_a_wrong_argument(shell: Shell) -> None:
    told = await shell.type("order_saga", "cancel", "the-last-one")
    assert told.code == 2
    assert "is not a valid UUID" in told.err
