"""Tasks end when they are told to, though a library may drop a cancellation."""

import asyncio
from contextlib import suppress

import pytest

from messages.transport import cancelling
from messages.transport.cancelling import cancel


async def test_a_task_that_drops_a_cancellation_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "CANCEL_AGAIN_SECONDS", 0.05)
    dropped: list[bool] = []

    async def twice() -> None:
        for _ in range(2):
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            dropped.append(True)
        await asyncio.Event().wait()

    tasks = [asyncio.create_task(twice()) for _ in range(2)]
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await cancel(*tasks)
    assert dropped == [True] * 4
    assert all(task.cancelled() for task in tasks)


async def test_the_last_error_of_a_task_is_its_own_affair() -> None:
    async def fails() -> None:
        raise ValueError("broken")

    task = asyncio.create_task(fails())
    await asyncio.sleep(0)
    await cancel(task)
    assert isinstance(task.exception(), ValueError)


async def test_no_task_is_no_work() -> None:
    await cancel()


async def test_whoever_waits_for_the_end_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "CANCEL_AGAIN_SECONDS", 60.0)
    free = asyncio.Event()

    async def stubborn() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await free.wait()

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await cancel(task)
    free.set()
    await task
