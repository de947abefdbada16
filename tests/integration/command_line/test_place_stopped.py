"""`order-saga place` that is stopped tells what is under way."""

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.integration.command_line.brokers import SilentShop
from tests.integration.command_line.shell import ROOT, Shell
from tests.integration.command_line.shops import order, text

INTERRUPTIBLE = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("order_saga", run_name="__main__")
"""
"""Also where the tests run in the background, and their shell has SIGINT ignored by all that it starts."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("named", [False, True], ids=["pipe", "named pipe"])
async def test_whoever_is_stopped_tells_what_is_under_way_though_its_input_stays_open(
    shell: Shell, silent_shop: SilentShop, tmp_path: Path, number: signal.Signals, named: bool
) -> None:
    pipe = tmp_path / "orders"
    os.mkfifo(pipe)
    with subprocess.Popen(  # noqa: ASYNC220  no more than starting it takes
        [sys.executable, "-c", INTERRUPTIBLE, "place", str(pipe) if named else "-"], cwd=ROOT,
        env={**shell.environment, "BROKER_URL": silent_shop.url},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as asking:  # fmt: skip
        assert asking.stdin
        assert asking.stdout
        assert asking.stderr
        try:
            with await asyncio.to_thread(pipe.open, "wb") if named else asking.stdin as requests:
                requests.write(text([order("north", order_id=(order_id := str(uuid.uuid4())))]).encode())
                requests.flush()
                await silent_shop.until_an_order_waits()
                asking.send_signal(number)
                await asyncio.to_thread(asking.wait, timeout=60)
            out, err = asking.stdout.read(), asking.stderr.read()
        finally:
            asking.kill()

    assert (asking.returncode, out.decode().split()[:2]) == (128 + number, ["unanswered", order_id])
    assert err.decode().startswith("1 unanswered in ")
    assert err.count(b"\n") == 1
